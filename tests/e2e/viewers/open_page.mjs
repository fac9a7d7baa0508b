// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Opens a page from disk in Chromium without a window, and does what the steps on standard input say: a JSON array
// of [name, argument…]. Prints as JSON what they returned, what the page wrote to its console, and which addresses
// it asked for beside its own: there must be none of either.
//
//   node open_page.mjs FOLDER-OF-NODE-MODULES BROWSER FILE < STEPS
//
//   {"results": […], "errors": […], "requests": […]}
import fs from 'node:fs'
import path from 'node:path'
import { createRequire } from 'node:module'

const [folder, executablePath, file] = process.argv.slice(2)
const { chromium } = createRequire(path.join(folder, 'x.js'))('playwright-core')
let own = 'file://' + path.resolve(file)
const timeout = 1000 * Number(process.env.PYMEM_E2E_PATIENCE || 300)

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
try {
  const page = await browser.newPage({ viewport: { width: 1300, height: 900 } })
  const errors = [], requests = [], results = []
  page.setDefaultTimeout(timeout)
  page.on('console', message => errors.push(message.text()))
  page.on('pageerror', error => errors.push(String(error)))
  page.on('dialog', dialog => { errors.push(`dialog: ${dialog.message()}`); dialog.dismiss() })
  await page.route('**', route => {
    const url = route.request().url()
    if (url.split('#')[0] === own) return route.continue()
    requests.push(url)
    return route.abort()
  })
  const ready = () => page.waitForFunction(() => document.documentElement.dataset.ready)
  const does = {
    // A second `goto` with another hash would not load the page again.
    open: async hash => { await page.goto('about:blank'); await page.goto(own + (hash ?? '')); await ready() },
    // From now on another file.
    file: path_ => { own = 'file://' + path.resolve(path_) },
    reload: async () => { await page.reload(); await ready() },
    back: () => page.evaluate(() => history.back()).then(() => page.waitForTimeout(200)),
    evaluate: text => page.evaluate(text),
    press: key => page.keyboard.press(key),
    type: text => page.keyboard.type(text),
    click: selector => page.click(selector),
    select: (selector, value) => page.selectOption(selector, value),
    scheme: colorScheme => page.emulateMedia({ colorScheme }),
    print: () => page.emulateMedia({ media: 'print' }),
    size: (width, height) => page.setViewportSize({ width, height }),
    picture: path => page.screenshot({ path }),
    tree: selector => page.locator(selector).ariaSnapshot(),
  }
  for (const [name, ...words] of JSON.parse(fs.readFileSync(0, 'utf8'))) {
    results.push(await does[name](...words) ?? null)
    if (name === 'picture') results[results.length - 1] = null
  }
  console.log(JSON.stringify({ results, errors, requests: requests.filter(url => url !== 'about:blank') }))
} finally {
  await browser.close()
}
