// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What is known of the frame that has the focus: its place, all its figures, the lines around it.
import { place_before } from './compare.js'
import { both_sides, compared_figures, program_about } from './compare_tables.js'
import { by_id, make } from './dom.js'
import { LIBRARY, PROCESS, place_text } from './data.js'
import { amount, exact, percent, size, count, time } from './format.js'

// The source of a file as the report has it: {line: text}, or null. `side`: of a diff.
export function source_of(data, text, side) {
  const file = data.sources.find(source => source.file === text && source.side === side)
  if (!file) return null
  const lines = new Map()
  for (const [first, texts] of file.runs) texts.forEach((line, i) => lines.set(first + i, line))
  return { ...file, known: lines }
}

export function whose(data, source) {
  const process = data.processes[source.process]
  return data.processes.length > 1 && process ? `as ${process.name} has it` : ''
}

export const CHANGED = 'This file has changed since the process started: this may not be what runs.'

function excerpt(data, place) {
  const source = source_of(data, place.text, place.side), rows = []
  if (!source) return null
  for (let line = place.line - 4; line <= place.line + 4; line++) {
    const text = source.known.get(line)
    if (text === undefined) continue
    rows.push(make('div', { className: line === place.line ? 'here' : '' },
      make('span', { className: 'number' }, `${line === place.line ? '▶ ' : ''}${line}`), make('code', null, text)))
  }
  return rows.length ? [source.changed ? make('p', { className: 'aside' }, CHANGED) : null,
    make('div', { className: 'code', tabIndex: 0, role: 'region', 'aria-label': 'Source' }, ...rows),
    make('p', { className: 'small' }, whose(data, source))] : null
}

function no_source(data, place) {
  if (data.redacted) return 'Without source text: this report is redacted.'
  return place.file.startsWith('<') ? '' : 'No source text is known.'
}

function figures(data, node) {
  const rows = data.metrics.map(metric => {
    const all = node.view.figure(node, metric), own = node.view.own(node, metric)
    const cell = value => make('td', { title: exact(metric, value), 'data-value': value }, amount(metric, value))
    const cells = metric.known ? [cell(all), own === null ? null : cell(own)]
      : [make('td', { colspan: 2 }, 'not measured')]
    return make('tr', { className: metric === node.view.metric ? 'chosen' : '', 'data-metric': metric.name },
      make('th', { scope: 'row' }, metric.of_whole ? `${metric.label} (whole)` : metric.label), ...cells)
  })
  const own = node.view.own(node, data.metrics[0]) !== null
  return make('table', { className: 'figures' },
    make('thead', null, make('tr', null, make('th', { scope: 'col' }, ''),
      make('th', { scope: 'col' }, own ? 'with what it called' : 'in all'),
      own ? make('th', { scope: 'col' }, 'alone') : null)), make('tbody', null, ...rows))
}

function rss_text(first, last, peak, exact) {
  return `${size(first)} → ${size(last)}, peak ${exact ? '' : 'at least '}${size(peak)}`
}

function process_rows(data, process) {
  return [
    ['Command', process.command], ['Python', process.python || 'not identified'],
    ['Runs in', process.where], ['State', process.exited ? 'ended' : ''],
    ['RSS', rss_text(process.rss_start_bytes, process.rss_end_bytes, process.rss_peak_bytes, process.rss_peak_exact)],
    ['In lines', size(process.charged_bytes, true)],
    ...Object.entries(process.lost_bytes).map(([cause, bytes]) =>
      ['In no line', `${size(bytes, true)} ${cause}: ${data.causes[cause]}`]),
    ['Faults in no line', process.lost_faults ? count(process.lost_faults) : ''],
    ['Stalled in no line', process.lost_stalled_ns ? time(process.lost_stalled_ns) : ''],
    ['Without callers', process.truncated_stacks ? `${count(process.truncated_stacks)} stacks` : ''],
    ['Note', process.note ?? ''],
  ].filter(([, text]) => text)
}

function about(data, place) {
  if (data.compared && place?.kind === PROCESS && place.process) return program_about(place.process)
  if (place?.kind === PROCESS && place.process) {
    const within = data.rss_within?.get(place.process)
    const of = data.window ? [make('dt', null, 'In the window'), make('dd', null, within
      ? `RSS ${rss_text(within.first, within.last, within.peak, within.exact)}` : 'not there'),
    make('dt', null, 'Of the whole'), make('dd', null, 'recording, not of the window:')] : []
    return make('dl', null, ...of, ...process_rows(data, place.process).flatMap(([name, text]) =>
      [make('dt', null, name), make('dd', null, text)]))
  }
  const cause = /^\[unattributed: (.*)\]$/.exec(place?.name ?? '')?.[1]
  if (cause) return make('p', null, `Belongs to no line: ${data.causes[cause] ?? cause}.`)
  return null
}

export function show_details(data, node) {
  const place = node.view.places[node.place], parts = [make('h2', null, node.title)]
  if (place?.kind <= LIBRARY) {
    parts.push(make('p', { className: 'place' }, place_text(place)))
    if (data.compared) parts.push(make('p', { className: 'before' }, place_before(place)))
    if (place.kind === LIBRARY) parts.push(make('p', { className: 'small' }, 'part of a library'))
  }
  parts.push(about(data, place))
  const share = `${percent(node.value, node.view.root.value)} of what is shown in all`
  parts.push(make('p', { className: 'share' }, data.compared ? `${amount(node.view.metric, node.amount)}: ${both_sides(node)}`
    : `${amount(node.view.metric, node.amount)}, ${share}`))
  parts.push(...data.compared ? compared_figures(data, node) : [figures(data, node)])
  if (place?.kind <= LIBRARY) parts.push(...excerpt(data, place) ?? [make('p', { className: 'small' }, no_source(data, place))])
  by_id('details').replaceChildren(...parts.filter(part => part))
}
