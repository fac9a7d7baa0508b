// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The beginning of the page: the answer in the words of the table, and what a reader must know of its limits.
import { by_id, make } from './dom.js'

const SHOWN = 4 // programs; the others are folded away

// A head has fields with three spaces between them: "api.py   PID 12   RSS 10.0 → 12.0 MiB   +2.0 MiB".
function program([head, ...lines]) {
  const [name, ...fields] = head.split(/ {2,}/)
  if (!fields.length) return make('p', null, head, ...lines.flatMap(line => ['\n', line]))
  return make('article', null,
    make('h2', null, name, ...fields.map(field => make('span', { className: 'field' }, field))),
    ...lines.map(line => make('p', { className: line.startsWith(' ') ? 'row' : 'sentence' }, line.trim())))
}

// Of a diff: the sentences of the table, what the two are, and its notes.
export function show_compared_answer(data) {
  by_id('about').append(make('b', null, `pymem-bpf ${data.version}`), make('span', null, 'diff'),
    ...data.redacted ? [make('span', null, 'redacted')] : [])
  by_id('answer').append(make('h2', null, data.answer), ...data.inputs.map(text => make('p', { className: 'input' }, text)),
    ...data.rate_unit ? [make('p', { className: 'input' }, `Their lengths differ, so amounts are per unit of time: ${data.rate_unit}.`)] : [])
}

// "Note on A: …" in two parts.
function split(text) {
  const [, kind, rest] = /^([^:]{1,40}:)\s*([^]*)$/.exec(text) ?? [null, 'Note:', text]
  return [kind, rest]
}

export function show_answer(data) {
  const { host, kernel, version, start, end, redacted } = data
  const times = start && end ? `${start.replace('T', ' ').slice(0, 19)} – ${end.slice(11, 19)} UTC` : ''
  by_id('about').append(make('b', null, `pymem-bpf ${version}`),
    ...[host, kernel && `Linux ${kernel}`, times, redacted && 'redacted']
      .filter(text => text).map(text => make('span', null, text)))
  const all = data.answer.map(program), first = all.slice(0, SHOWN), rest = all.slice(SHOWN)
  by_id('answer').append(...first)
  if (rest.length) {
    by_id('answer').append(make('details', null, make('summary', null, `${rest.length} more`), ...rest))
  }
}

// Losses have their sentence in the answer; these are all others.
export function show_asides(data, defects) {
  const rows = [
    ...defects.map(text => ['Defect:', text, 'defect']),
    ...(data.skipped ?? []).map(({ pid, comm, reason }) => ['Skipped:', `pid ${pid}${comm && ` (${comm})`}: ${reason}`]),
    ...data.notes.map(note => data.compared ? split(note) : ['Note:', note]),
    ...data.sources_left_out ? [['Note:', `the source text of ${data.sources_left_out} files is left out: it would make ` +
      'the page too large']] : [],
  ]
  by_id('asides').append(...rows.map(([kind, text, more]) =>
    make('p', { className: `aside ${more ?? ''}` }, make('b', null, kind), ` ${text}`)))
  by_id('asides').hidden = !rows.length
}
