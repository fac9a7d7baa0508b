// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What only the page of a diff has: the figures of a frame in both sides, the legend of red and blue, and tables of
// programs and of what heaps kept.
import { by_id, make } from './dom.js'
import { SIDES, per, scales } from './compare.js'
import { amount, exact } from './format.js'

const BYTES = { unit: 'bytes' }, SIGNED = { unit: 'bytes', signed: true }

// A table of metrics for one node: what A and B have, and the difference.
function figures_of(data, node, title, figure) {
  const rows = data.metrics.map(metric => {
    const cell = (part, kind) => {
      const value = figure(metric, part)
      return make('td', { title: exact(kind, value), 'data-value': value }, amount(kind, value))
    }
    const cells = metric.known ? [...SIDES.map(side => cell(side, metric.plain)), cell('net', metric)]
      : [make('td', { colspan: 3 }, 'not measured in both')]
    return make('tr', { className: metric.name === node.view.metric.name ? 'chosen' : '', 'data-metric': metric.name },
      make('th', { scope: 'row' }, metric.label), ...cells)
  })
  return make('table', { className: 'figures' }, make('thead', null, make('tr', null,
    ...[title, 'A', 'B', 'B − A'].map(text => make('th', { scope: 'col' }, text)))), make('tbody', null, ...rows))
}

export function compared_figures(data, node) {
  const { view } = node
  const all = figures_of(data, node, view.own(node, data.metrics[0]) === null ? 'In all' : 'With what it called',
    (metric, part) => view.figure(node, metric, part))
  if (view.own(node, data.metrics[0]) === null) return [all]
  return [all, figures_of(data, node, 'Alone', (metric, part) => view.own(node, metric, part))]
}

export function program_about(program) {
  return make('div', null, ...program.about.map(text => make('p', { className: 'small' }, text)),
    ...SIDES.filter(side => program[side]).map(side =>
      make('p', { className: 'place' }, `${side.toUpperCase()}: ${program[side].command}`)))
}

export function show_compared_legend() {
  const item = (tone, text) => make('li', null, make('i', { className: `f ${tone}` }), text)
  by_id('legend').replaceChildren(
    item('more5', '+ more in B than in A'), item('less5', '− less in B, with stripes'), item('same', 'no difference'),
    make('li', null, 'The stronger the colour, the larger the part of all that differs'),
    make('li', null, make('b', null, 'own code'), ', ', make('em', null, 'library'), ', [belongs to no line]'),
    by_id('legend').lastElementChild)
}

// --- programs ---

function program_rows(data) {
  const gathered = Object.fromEntries(SIDES.map(side => [side, { growth_bytes: data[side].gathered_bytes,
    change_bytes: data[side].gathered_bytes }]))
  const rows = [...data.processes]
  if (SIDES.some(side => data[side].gathered)) rows.push({ name: 'ended processes, kept as a sum', about: [], ...gathered })
  return rows
}

function program_row(program, scale, unit) {
  const value = (side, name) => (program[side]?.[name] ?? 0) * scale[SIDES.indexOf(side)]
  const cell = (kind, number) => make('td', { title: exact(kind, number), 'data-value': number, className: Math.round(number) ? '' : 'zero' },
    amount(kind, number))
  const signed = { ...SIGNED, per: unit }
  const pair = name => [cell(signed, value('b', name) - value('a', name)), ...SIDES.map(side =>
    program[side] ? cell(signed, value(side, name)) : make('td', { className: 'zero' }, 'not there'))]
  const last = SIDES.map(side => program[side]?.rss_end_bytes === undefined ? make('td') : cell(BYTES, program[side].rss_end_bytes))
  return make('tr', null, make('th', { scope: 'row', className: 'left' }, make('b', null, program.name),
    ...program.about.map(text => make('p', { className: 'small' }, text))), ...pair('growth_bytes'), ...pair('change_bytes'), ...last)
}

export function show_programs(data) {
  const scale = scales(data), unit = per(data), titles = ['Grew, B − A', 'A grew by', 'B grew by', 'Change of RSS, B − A', 'A', 'B', 'RSS at the end, A', 'B']
  by_id('programs').append(
    make('p', null, 'Changes add up to those of A and B. What a program grew by: of one that has ended, up to its highest RSS.'),
    make('div', { className: 'wide', tabIndex: 0, role: 'region', 'aria-label': 'Table of programs' },
      make('table', { className: 'lines programs' }, make('thead', null, make('tr', null, make('th', { scope: 'col', className: 'left' }, 'Program'),
        ...titles.map(text => make('th', { scope: 'col' }, text)))),
      make('tbody', null, ...program_rows(data).map(program => program_row(program, scale, unit))))))
}

// --- heaps ---

function kept_table(rows, title) {
  if (!rows) return null
  const cells = ([difference, a, b, text, sure]) => make('tr', { 'data-sure': sure }, ...[difference, a, b].map(cell => make('td', null, cell)),
    make('td', { className: 'left' }, text))
  return make('div', { className: 'wide', tabIndex: 0, role: 'region', 'aria-label': `${title}s` }, make('table', { className: 'lines heap' },
    make('thead', null, make('tr', null, ...['Difference', 'A', 'B'].map(text => make('th', { scope: 'col' }, text)),
      make('th', { scope: 'col', className: 'left' }, title))),
    make('tbody', null, ...rows.length ? rows.map(cells) : [make('tr', null, make('td', { colspan: 4, className: 'left' }, 'None.'))])))
}

export function show_kept(data) {
  for (const { process, heading, holders, types } of data.heap) {
    by_id('heap').append(...[make('h2', null, data.processes[process]?.name ?? '?'), make('p', null, heading),
      kept_table(holders, 'Holder'), kept_table(types, 'Type')].filter(part => part))
  }
}

// "A 66.8 MiB, B 111.9 MiB", of a node.
export function both_sides(node) {
  const { metric } = node.view
  return SIDES.map(side => `${side.toUpperCase()} ${amount(metric.plain, node.view.figure(node, metric, side))}`).join(', ')
}
