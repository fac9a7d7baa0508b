// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Opens files in speedscope, in a browser without a window, as speedscope's own command does. Prints as JSON what
// its page shows of each: the total weights of its list of profiles, and of the profile shown first the table of
// the view "Sandwich", largest total first. A file that it does not take fails.
//
//   node open_speedscope.mjs FOLDER-OF-NODE-MODULES BROWSER FILE…
//
//   {FILE: {"totals": {PROFILE: TEXT}, "rows": [[TOTAL, SELF, NAME], …]}}
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createRequire } from 'node:module'

const timeout = 1000 * Number(process.env.PYMEM_E2E_PATIENCE || 300)
const [folder, executablePath, ...files] = process.argv.slice(2)
const { chromium } = createRequire(path.join(folder, 'x.js'))('playwright-core')
const viewer = 'file://' + path.join(folder, 'node_modules/speedscope/dist/release/index.html')

// Runs in the page.
function read() {
  const cells = row => [...row.querySelectorAll('td')].map(cell => cell.innerText.trim())
  const tables = [...document.querySelectorAll('table')]
  const list = tables.find(table => table.innerText.includes('Total Weight'))
  const totals = {}
  for (const row of list ? list.querySelectorAll('tbody tr') : []) totals[row.title] = cells(row)[2]
  const rows = tables.filter(table => table !== list).flatMap(table => [...table.querySelectorAll('tr')].map(cells))
  return { totals, rows: rows.filter(row => row.length === 3) }
}

// Runs in the page: whether the first row has the largest share.
function is_sorted() {
  const shares = [...document.querySelectorAll('tr td:first-child')].map(cell => /\(([\d.]+)%\)/.exec(cell.innerText))
    .filter(share => share).map(share => Number(share[1]))
  return shares.length > 0 && shares[0] === Math.max(...shares)
}

async function show(browser, file, temporary) {
  const script = path.join(temporary, 'file.js')
  const words = [path.basename(file), fs.readFileSync(file).toString('base64')].map(word => JSON.stringify(word))
  fs.writeFileSync(script, `speedscope.loadFileFromBase64(${words.join(', ')})`)
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 } })
  const errors = []
  page.on('pageerror', error => errors.push(String(error)))
  page.on('dialog', dialog => { errors.push(dialog.message()); dialog.dismiss() })
  page.setDefaultTimeout(timeout)
  try {
    await page.goto(`${viewer}#localProfilePath=${script}`)
    await page.getByText('Sandwich').click()
    await page.locator('th', { hasText: /^Total$/ }).first().click()
    await page.waitForFunction(is_sorted)
    if (errors.length) throw new Error(errors.join('; '))
    return await page.evaluate(read)
  } catch (error) {
    throw new Error(`${file}: ${errors.join('; ')} ${error}`)
  } finally {
    await page.close()
  }
}

const temporary = fs.mkdtempSync(path.join(os.tmpdir(), 'pymem-speedscope.'))
const browser = await chromium.launch({
  executablePath, args: ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'] })
try {
  const shown = {}
  for (const file of files) shown[file] = await show(browser, file, temporary)
  console.log(JSON.stringify(shown))
} finally {
  await browser.close()
  fs.rmSync(temporary, { recursive: true })
}
