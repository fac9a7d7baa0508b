// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Builds the web page into a C header: what stands before the report's data, and what stands behind them.
//
//   node build.mjs ESBUILD HEADER      ESBUILD: the bundler's program
//
// Style and program are part of the page; its policy (Content-Security-Policy) names both by their hash,
// so that no other style or program in it has an effect.
import crypto from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const [esbuild, header] = process.argv.slice(2)
const here = path.dirname(fileURLToPath(import.meta.url))

function build(file, ...options) {
  return execFileSync(esbuild, [path.join(here, file), '--bundle', '--minify', '--charset=ascii',
    '--target=chrome100,firefox100', '--log-level=warning', ...options],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()
}

function hash(text) {
  return 'sha256-' + crypto.createHash('sha256').update(text).digest('base64')
}

function bytes(name, text) {
  const rows = [...Buffer.from(text)].map((byte, i) => byte + (i % 24 === 23 ? ',\n' : ','))
  return `static const unsigned char ${name}[] = {\n${rows.join('')}\n};\n`
}

const style = build('page.css'), script = build('main.js', '--format=iife')
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
