// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// What both consumers of notebooks need: a browser without a window, a server for their files, and what is seen of an
// output.
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { createRequire } from 'node:module'

export const timeout = 1000 * Number(process.env.PYMEM_E2E_PATIENCE || 300)
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json',
  '.svg': 'image/svg+xml', '.ttf': 'font/ttf', '.wasm': 'application/wasm' }

// Serves texts ({"/path": [type, text]}) and, below `folder`, files. Returns the server, which listens on a free port of
// the loopback.
export async function serve(texts, folder) {
  const server = http.createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url, 'http://x').pathname)
    if (texts[name]) {
      response.writeHead(200, { 'Content-Type': texts[name][0] })
      return response.end(texts[name][1])
    }
    const file = folder && path.join(folder, path.normalize(name))
    if (!file || !fs.existsSync(file) || !fs.statSync(file).isFile()) return response.writeHead(404).end()
    // The webview's service worker must be of the webview's origin, its modules may be of another one.
    response.writeHead(200, { 'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream',
      'Access-Control-Allow-Origin': '*' })
    fs.createReadStream(file).pipe(response)
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  return server
}

// Opens a browser, and does `work` with a new page of it for each of `runs`. What a page asks for beside the server is
// refused, and noted in `requests`; `errors` has what it complains of. Returns what was seen, for each run.
export async function browse(folder, executablePath, port, runs, work) {
  const { chromium } = createRequire(path.join(folder, 'x.js'))('playwright-core')
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  const all = []
  try {
    for (const run of runs) {
      const page = await browser.newPage({ viewport: { width: 1300, height: 2400 } })
      const errors = [], requests = []
      page.setDefaultTimeout(timeout)
      page.on('console', message => message.type() === 'error' && errors.push(`${message.text()} ${message.location().url}`))
      page.on('pageerror', error => errors.push(String(error)))
      page.on('dialog', dialog => { errors.push(`dialog: ${dialog.message()}`); dialog.dismiss() })
      await page.route('**', route => {
        const url = new URL(route.request().url())
        if (url.port === String(port) || ['data:', 'blob:', 'about:'].includes(url.protocol)) return route.continue()
        requests.push(url.href)
        return route.abort()
      })
      all.push({ ...await work(page, run), errors, requests })
      if (run.picture) await page.screenshot({ path: run.picture })
      await page.close()
    }
  } finally {
    await browser.close()
  }
  return all
}

// Runs in the page of an output: what a person sees of it.
function look(element) {
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(c => c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4)
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const parse = text => (text.match(/[\d.]+/g) ?? []).map(Number)
  // A webview of VS Code is transparent; the editor behind it has this colour.
  const editor = getComputedStyle(document.documentElement).getPropertyValue('--vscode-editor-background')
  const farthest = editor ? editor.match(/\w\w/g).map(digits => parseInt(digits, 16)) : [255, 255, 255]
  const behind = one => {
    for (; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor)
      if (colour.length === 3 || colour[3] === 1) return colour
    }
    return farthest
  }
  const contrast = one => {
    const [a, b] = [luminance(parse(getComputedStyle(one).color)), luminance(behind(one))].sort((x, y) => y - x)
    return (a + 0.05) / (b + 0.05)
  }
  const texts = [element, ...element.querySelectorAll('*')].filter(one =>
    [...one.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim()))
  // How much of it can't be seen, nor be reached with a scroll bar of it or of what it is in.
  const scrolls = (one, axis) => one && (['auto', 'scroll'].includes(getComputedStyle(one)['overflow' + axis]) ||
    scrolls(one.parentElement, axis))
  const cut = (axis, pixels) => pixels > 0 && scrolls(element, axis) ? 0 : pixels
  const box = one => [one.clientWidth, one.clientHeight]
  return {
    text: element.innerText,
    box: box(element),
    cut: [cut('X', element.scrollWidth - element.clientWidth), cut('Y', element.scrollHeight - element.clientHeight)],
    contrast: Math.min(...texts.map(contrast)),
    dark: luminance(behind(element)) < 0.2,
    bars: [...element.querySelectorAll('td')].filter(one => getComputedStyle(one).backgroundImage !== 'none').length,
    aligned: [...new Set([...element.querySelectorAll('td')].map(one => getComputedStyle(one).textAlign))].sort(),
    rows: element.querySelectorAll('tr').length,
    images: [...element.querySelectorAll('img')].map(one => ({ box: box(one), natural: [one.naturalWidth, one.naturalHeight],
      alt: one.alt })),
    elements: [...new Set([...element.querySelectorAll('*')].map(one => one.localName))].sort(),
  }
}

// What is seen of the output that a locator names; of a frame in it, what its page has come to.
export async function seen_of(output) {
  const shown = { ...await output.evaluate(look), frames: [] }
  for (const frame of await output.locator('iframe').all()) {
    const inside = await (await frame.elementHandle()).contentFrame()
    await frame.scrollIntoViewIfNeeded()
    await inside.waitForFunction(() => document.documentElement.dataset.ready)
    shown.frames.push({
      box: await frame.evaluate(one => [one.clientWidth, one.clientHeight]),
      ...await inside.evaluate(() => ({
        total: document.querySelector('[data-total]')?.dataset.total,
        text: document.body.innerText,
        items: document.querySelectorAll('[role=treeitem]').length,
        wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        reaches_out: (() => { try { return Boolean(parent.document) } catch { return false } })(),
      })),
    })
  }
  return shown
}
