// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The looks at heaps of a recording: who holds memory at the last one of the window, and how that grew since the first.
import { by_id, make } from './dom.js'
import { count, exact, percent, size } from './format.js'
import { svg } from './plot.js'
import { clock, duration, in_seconds } from './window.js'

const BYTES = { unit: 'bytes' }, WIDE = 96, HIGH = 22, LIVE = ['objects', 'their buffers', 'mapped buffers', 'used by C code']

// Rows are lists of numbers: of types 3 a row, of holders 4.
function unpack(look, names) {
  const holders = new Map(), types = new Map()
  for (let i = 0; i < look.types.length; i += 3) {
    const [type, objects, bytes] = look.types.slice(i, i + 3)
    types.set(type, { name: names[type], number: objects, bytes })
  }
  for (let i = 0; i < look.holders.length; i += 4) {
    const [path, type, entries, bytes] = look.holders.slice(i, i + 4)
    holders.set(path, { name: names[path], type: names[type], number: entries < 0 ? null : entries, bytes })
  }
  const live = LIVE.reduce((sum, part) => sum + (look.balance[part] ?? 0), 0)
  return { ...look, time: in_seconds(look.time), holders, types, live }
}

// A line of what a row had in each look; gaps where it was not among the largest.
function sparkline(values, label) {
  const most = Math.max(1, ...values.filter(value => value !== undefined)), step = (WIDE - 4) / Math.max(1, values.length - 1)
  let path = '', pen = 'M'
  values.forEach((value, i) => {
    if (value === undefined) pen = 'M'
    else {
      path += `${pen}${(2 + i * step).toFixed(1)} ${(HIGH - 2 - (HIGH - 4) * value / most).toFixed(1)}`
      pen = 'L'
    }
  })
  const last = values.findLastIndex?.(value => value !== undefined) ?? values.length - 1
  return svg('svg', { class: 'spark', viewBox: `0 0 ${WIDE} ${HIGH}`, width: WIDE, height: HIGH, role: 'img', 'aria-label': label },
    svg('path', { d: path }), values[last] === undefined ? null
      : svg('circle', { cx: 2 + last * step, cy: HIGH - 2 - (HIGH - 4) * values[last] / most, r: 2 }))
}

export class Heap {
  constructor(data, times, change) {
    const { looks, names } = data.heap
    Object.assign(this, { data, times, change, looks: looks.map(look => unpack(look, names)) })
    this.processes = [...new Set(looks.map(look => look.process))]
    this.verdict = make('p', { className: 'sentence', id: 'verdict' })
    this.when = make('p', { id: 'looks' })
    this.rows = make('div')
    by_id('heap').append(...this.choice(), this.verdict, this.when, this.rows, ...this.asides())
  }

  choice() {
    if (this.processes.length < 2) return []
    this.select = make('select', { id: 'heap-of' }, ...this.processes.map(process =>
      make('option', { value: process }, this.data.processes[process]?.name ?? '?')))
    this.select.addEventListener('change', () => this.change({ heap: this.select.value }))
    return [make('form', { className: 'tools' }, make('label', null, 'Process ', this.select))]
  }

  asides() {
    const { thinned, unreadable } = this.data.heap
    return [thinned && `${count(thinned)} more looks are in the recording and not in this page: those that are here are spread evenly.`,
      unreadable && `${count(unreadable)} looks could not be read.`]
      .filter(text => text).map(text => make('p', { className: 'aside' }, make('b', null, 'Note:'), ` ${text}`))
  }

  // Those of the window; else the last one before its end.
  within(process, window) {
    const all = this.looks.filter(look => look.process === process)
    if (!window || !this.times) return all
    const from = this.times.at(window.from), to = this.times.at(window.to)
    return all.filter(look => look.time >= from && look.time <= to)
  }

  show(state, window) {
    if (state.view !== 'heap') return
    const asked = Number(state.heap), process = this.processes.includes(asked) ? asked : this.processes[0]
    if (this.select) this.select.value = String(process)
    const looks = this.within(process, window), first = looks[0], last = looks.at(-1)
    if (!last) {
      this.verdict.textContent = this.looks.length ? 'No look at the heap was made in this window of time.' : 'No look could be read.'
      this.when.textContent = ''
      this.rows.replaceChildren()
      return
    }
    this.verdict.textContent = last.verdict ?? this.own_verdict(first, last)
    this.when.textContent = this.when_text(looks)
    this.rows.replaceChildren(this.table(looks, 'holders', 'Holder', 'Entries', 'Retained'),
      this.table(looks, 'types', 'Type', 'Objects', 'Bytes, with buffers'), this.all_looks(looks))
  }

  own_verdict(first, last) {
    const [largest] = [...last.holders.values()]
    return `${size(last.live)} of ${size(last.rss_bytes)} are live${largest ? `, ${size(largest.bytes)} of it held by ${largest.name} (${largest.type})` : ''}.`
  }

  when_text(looks) {
    const first = looks[0], last = looks.at(-1), span = last.time - first.time
    const what = `Look at ${clock(last.time)} UTC`
    if (looks.length < 2) return `${what}, the only one${this.times ? ' here' : ''}: growth needs two.`
    const grown = last.live - first.live, rate = span > 0 ? ` (${size(Math.round(grown * 60 / span), true)} a minute)` : ''
    return `${what}. Growth is that since ${clock(first.time)}, ${duration(span)} before: live memory ` +
      `${size(grown, true)}${rate}, in ${looks.length} looks.`
  }

  table(looks, kind, head, number, bytes) {
    const first = looks[0], last = looks.at(-1), span = last.time - first.time
    const rows = [...last[kind]].map(([key, row]) => {
      const before = first[kind].get(key), grown = looks.length > 1 && before ? row.bytes - before.bytes : null
      const values = looks.map(look => look[kind].get(key)?.bytes)
      const cell = (value, text) => make('td', { title: value === null ? '' : exact(BYTES, value), className: value ? '' : 'zero' }, text)
      return make('tr', { 'data-row': row.name }, cell(row.bytes, size(row.bytes)),
        looks.length < 2 ? cell(null, '') : cell(grown, grown === null ? 'not listed at first' : size(grown, true)),
        looks.length < 2 ? cell(null, '') : cell(grown, grown === null || !(span > 0) ? '' : `${size(Math.round(grown * 60 / span), true)}/min`),
        make('td', null, sparkline(values, this.spoken(row, values))),
        make('td', null, row.number === null ? '' : count(row.number)),
        make('td', { className: 'left' }, make('b', null, row.name), row.type ? ` ${row.type}` : ''))
    })
    return make('div', { className: 'wide', tabIndex: 0, role: 'region', 'aria-label': `${head}s` }, make('table', { className: 'lines heap' },
      make('thead', null, make('tr', null, ...[bytes, 'Grown', 'A minute', 'Looks', number].map(text => make('th', { scope: 'col' }, text)),
        make('th', { scope: 'col', className: 'left' }, head))), make('tbody', null, ...rows.length ? rows
        : [make('tr', null, make('td', { colspan: 6, className: 'left' }, last.types_only ? 'Only types were looked at.' : 'None.'))])))
  }

  spoken(row, values) {
    const known = values.filter(value => value !== undefined)
    return `${row.name}: ${size(known[0])} to ${size(known.at(-1))} in ${known.length} looks`
  }

  all_looks(looks) {
    return make('details', null, make('summary', null, `All ${looks.length} looks`), make('table', { className: 'lines heap' },
      make('thead', null, make('tr', null, ...['Time, UTC', 'RSS', 'Live', 'Live'].map(text => make('th', { scope: 'col' }, text)))),
      make('tbody', null, ...looks.map(look => make('tr', null, make('td', null, clock(look.time)), make('td', null, size(look.rss_bytes)),
        make('td', null, size(look.live)), make('td', null, percent(look.live, look.rss_bytes)))))))
  }
}
