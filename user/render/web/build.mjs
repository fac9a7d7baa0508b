// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Builds the web page into a C header: what stands before the report's data, and what stands behind them.
//
//   node build.mjs FOLDER-OF-NODE-MODULES HEADER
//
// Style and program are part of the page; its policy (Content-Security-Policy) names both by their hash,
// so that no other style or program in it has an effect.
import crypto from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const [folder, header] = process.argv.slice(2)
const here = path.dirname(fileURLToPath(import.meta.url))
const esbuild = createRequire(path.join(path.resolve(folder), 'x.js'))('esbuild')

function build(file, options) {
  const done = esbuild.buildSync({
    entryPoints: [path.join(here, file)], bundle: true, minify: true, write: false, charset: 'ascii',
    target: ['chrome100', 'firefox100'], logLevel: 'warning', ...options })
  return done.outputFiles[0].text.trim()
}

function hash(text) {
  return 'sha256-' + crypto.createHash('sha256').update(text).digest('base64')
}

function bytes(name, text) {
  const rows = [...Buffer.from(text)].map((byte, i) => byte + (i % 24 === 23 ? ',\n' : ','))
  return `static const unsigned char ${name}[] = {\n${rows.join('')}\n};\n`
}

const style = build('page.css'), script = build('main.js', { format: 'iife' })
for (const text of [style, script]) {
  if (/<\/(script|style)|<!--/i.test(text)) throw new Error('a text would end its element')
}
const parts = { STYLE: style, SCRIPT: script, STYLE_HASH: hash(style), SCRIPT_HASH: hash(script) }
const page = fs.readFileSync(path.join(here, 'page.html'), 'utf8')
  .replace(/@(\w+)@/g, (all, name) => parts[name] ?? all)
const halves = page.split('@DATA@')
if (halves.length !== 2) throw new Error('page.html has one place for the data')
fs.writeFileSync(header, '/* From user/render/web/, by build.mjs. */\n' +
  bytes('web_page_begin', halves[0]) + bytes('web_page_end', halves[1]))
