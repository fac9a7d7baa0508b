// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// An extension for VS Code in a browser, where there are no files: a folder with the one notebook that the
// server has.
const vscode = require('vscode')

const nothing = () => { throw vscode.FileSystemError.NoPermissions('read only') }
const NAME = 'n.ipynb'

exports.activate = async context => {
  const notebook = new Uint8Array(await (await fetch(vscode.Uri.joinPath(context.extensionUri, '..', NAME).toString(true))).arrayBuffer())
  const provider = {
    onDidChangeFile: new vscode.EventEmitter().event,
    watch: () => new vscode.Disposable(() => {}),
    stat: uri => {
      if (uri.path === '/') return { type: vscode.FileType.Directory, ctime: 0, mtime: 0, size: 0 }
      if (uri.path === '/' + NAME) return { type: vscode.FileType.File, ctime: 0, mtime: 0, size: notebook.length }
      throw vscode.FileSystemError.FileNotFound(uri)
    },
    readDirectory: () => [[NAME, vscode.FileType.File]],
    readFile: uri => {
      provider.stat(uri)
      return notebook
    },
    createDirectory: nothing, writeFile: nothing, delete: nothing, rename: nothing,
  }
  for (const scheme of ['one', 'vscode-vfs']) {
    context.subscriptions.push(vscode.workspace.registerFileSystemProvider(scheme, provider, { isReadonly: true }))
  }
}
