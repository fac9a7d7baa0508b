// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Shows a notebook's outputs as JupyterLab does. Prints as JSON what is seen of each.
//
//   node jupyterlab.mjs FOLDER-OF-NODE-MODULES BROWSER < {"notebook": …, "runs": [RUN…]}
//   RUN: {"trusted": …, "dark": …, "picture": PATH or null}
//
//   [{"outputs": [[…] for each cell], "errors": […], "requests": […]} for each run]
import fs from 'node:fs'
import path from 'node:path'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { browse, seen_of, serve } from './consumer.mjs'

const here = path.dirname(fileURLToPath(import.meta.url))
const [folder, browser] = process.argv.slice(2)
const { notebook, runs } = JSON.parse(fs.readFileSync(0, 'utf8'))
const esbuild = createRequire(path.join(folder, 'x.js'))('esbuild')
const built = esbuild.buildSync({
  stdin: { contents: fs.readFileSync(path.join(here, 'jupyterlab_page.js'), 'utf8'), resolveDir: folder },
  bundle: true, write: false, outdir: '/', logLevel: 'warning',
  define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
  loader: { '.svg': 'text', '.png': 'dataurl', '.ttf': 'dataurl', '.woff': 'dataurl', '.woff2': 'dataurl',
    '.eot': 'dataurl' },
})
const text = ending => built.outputFiles.find(file => file.path.endsWith(ending)).text
const themes = path.join(folder, 'node_modules/@jupyterlab')
const theme = name => fs.readFileSync(path.join(themes, `theme-${name}-extension/style/variables.css`), 'utf8')
const html = name => `<!DOCTYPE html><meta charset="utf-8"><link rel="stylesheet" href="${name}.css">
<link rel="stylesheet" href="page.css"><body style="background: var(--jp-layout-color0); width: 1000px"
class="jp-ThemedContainer" data-jp-theme-light="${name === 'light'}"><script src="page.js"></script>`

const server = await serve({ '/light': ['text/html', html('light')], '/dark': ['text/html', html('dark')],
  '/light.css': ['text/css', theme('light')], '/dark.css': ['text/css', theme('dark')],
  '/page.css': ['text/css', text('.css')], '/page.js': ['text/javascript', text('.js')],
  '/favicon.ico': ['image/x-icon', ''] })
const { port } = server.address()

async function show(page, { trusted, dark }) {
  await page.goto(`http://localhost:${port}/${dark ? 'dark' : 'light'}`)
  await page.waitForFunction(() => document.documentElement.dataset.loaded)
  await page.evaluate(([one, is_trusted]) => window.show(one, is_trusted), [notebook, trusted])
  const outputs = []
  for (const [number, { outputs: wanted }] of notebook.cells.entries()) {
    await page.waitForFunction(([cell, count]) => document.querySelectorAll('.jp-Cell')[cell]
      .querySelectorAll('.jp-OutputArea-output > *').length >= count, [number, wanted.length])
    const shown = page.locator('.jp-Cell').nth(number).locator('.jp-OutputArea-output')
    outputs.push(await Promise.all((await shown.all()).map(seen_of)))
  }
  return { outputs }
}

try {
  console.log(JSON.stringify(await browse(folder, browser, port, runs, show)))
} finally {
  server.close()
  server.closeAllConnections()
}
