// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The page. What it shows is in its address, behind the #: a link opens the same view.
import { show_answer, show_asides, show_compared_answer } from './answer.js'
import { Compared, WIDTHS, per, scales } from './compare.js'
import { show_compared_legend, show_kept, show_programs } from './compare_tables.js'
import { read, THREAD, unpack_compared, unpack_metrics } from './data.js'
import { show_details } from './details.js'
import { by_id, make } from './dom.js'
import { Flame } from './flame.js'
import { amount, exact, percent } from './format.js'
import { Heap } from './heap.js'
import { Tables } from './tables.js'
import { Plot, show_how } from './time.js'
import { View, search } from './view.js'
import { Times } from './window.js'

function metrics_of({ compared, figures, ...given }) {
  return compared ? unpack_compared(figures, (name, known, sides) => new Compared(name, known, sides, scales(given), per(given)))
    : unpack_metrics(figures)
}

const raw = JSON.parse(by_id('data').textContent)
const data = read({ ...raw, compared: Boolean(raw.inputs) }, metrics_of)
by_id('data').remove()

const DIRECTIONS = [['outer', 'outermost', 'Outermost callers on top, what they call below'],
  ['inner', 'innermost', 'Innermost frames on top, who called them below']]
const told = data.places.some(place => place.kind === THREAD)
const GROUPS = data.compared ? [['process', 'program'], ['merged', 'nothing']]
  : [['process', 'process'], ...told ? [['thread', 'thread']] : [], ['where', 'container'], ['merged', 'nothing']]
const START = { view: 'graph', metric: 'grown', direction: 'outer', group: 'process', search: '', zoom: '',
  ...data.compared && { width: 'larger' } }
// What changes the flame graph as a whole.
const SETTINGS = ['metric', 'direction', 'group', 'width']

let state, view, shown = data, drawn // the data, and the address, of what is shown
const flame = new Flame(node => show_details(node.view.data, node), zoom_to)
const tables = data.format === 'html' ? new Tables(data, change) : null
const times = data.time ? new Times(data) : null, plot = times && new Plot(data, times, change)
const heap = data.heap && !data.compared ? new Heap(data, times, change) : null

// --- the address ---

function state_of(hash) {
  const given = Object.fromEntries(new URLSearchParams(hash.replace(/^#/, ''))), found = { ...START }
  found.metric = data.metrics.some(m => m.name === data.metric && m.known) ? data.metric : START.metric
  for (const key of Object.keys(START)) if (given[key] !== undefined) found[key] = given[key]
  if (!data.metrics.some(m => m.name === found.metric && m.known)) found.metric = START.metric
  if (!DIRECTIONS.some(([name]) => name === found.direction)) found.direction = START.direction
  if (!GROUPS.some(([name]) => name === found.group)) found.group = START.group
  if (data.compared && !WIDTHS.some(([name]) => name === found.width)) found.width = START.width
  if (!tables?.views.includes(found.view)) found.view = START.view
  return { ...given, ...found }
}

function hash_of(wanted) {
  const first = state_of('')
  const words = Object.entries(wanted).filter(([key, value]) => value !== (first[key] ?? ''))
  return '#' + new URLSearchParams(words)
}

// Changes what is shown. `quietly`: without a step for the browser's "back".
function change(changes, quietly = false) {
  const hash = hash_of({ ...state, ...changes })
  if (hash === (location.hash || '#')) return
  // The whole address: of a page in a frame's srcdoc, a part would be of the page around it.
  if (quietly) history.replaceState(null, '', location.href.replace(/#.*$/, '') + hash)
  else location.hash = hash
  show()
}

// --- the controls ---

function choices(into, name, list) {
  for (const [value, label, title, off] of list) {
    const input = make('input', { type: 'radio', name, value, disabled: Boolean(off) })
    input.addEventListener('change', () => change({ [name]: value, zoom: '' }))
    by_id(into).append(make('label', { title }, input, make('span', null, label)))
  }
}

function set_up() {
  choices('metrics', 'metric', data.metrics.map(metric => [metric.name,
    metric.known ? metric.label : `${metric.label}: not measured`, metric.meaning, !metric.known]))
  choices('directions', 'direction', DIRECTIONS)
  if (data.compared) choices('widths', 'width', WIDTHS)
  by_id('widths').hidden = !data.compared
  by_id('groups').append(...GROUPS.map(([value, label]) => make('option', { value }, label)))
  by_id('groups').addEventListener('change', event => change({ group: event.target.value, zoom: '' }))
  by_id('search').addEventListener('input', event => change({ search: event.target.value }, true))
  by_id('tools').addEventListener('submit', event => event.preventDefault())
  by_id('reset').addEventListener('click', () => change({ zoom: '' }))
  addEventListener('hashchange', () => {
    if (location.hash !== drawn) show()
  })
  addEventListener('keydown', on_key)
}

function on_key(event) {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== 'radio'
  if (event.ctrlKey || event.metaKey || event.altKey) return
  if (event.key === '/' && !typing) {
    (state.view === 'graph' ? by_id('search') : by_id('filter') ?? by_id('search')).focus()
    event.preventDefault()
  } else if (event.key === 'Escape' && !typing && state.zoom) {
    change({ zoom: '' })
  }
}

function zoom_to(node) {
  change({ zoom: node.path.join('.') })
}

// --- what is shown ---

function show_controls() {
  for (const name of ['metric', 'direction', 'width']) {
    for (const input of document.getElementsByName(name)) input.checked = input.value === state[name]
  }
  by_id('groups').value = state.group
  if (by_id('search').value !== state.search) by_id('search').value = state.search
  by_id('reset').hidden = !state.zoom
}

function show_compared_total(zoom) {
  const { metric, root } = view, [a, b] = ['a', 'b'].map(part => view.figure(root, metric, part))
  by_id('total').replaceChildren(
    make('b', { 'data-total': root.amount, 'data-a': a, 'data-b': b }, amount(metric, root.amount)),
    ` ${metric.label.toLowerCase()}: A ${amount(metric.plain, a)}, B ${amount(metric.plain, b)} (${exact(metric, root.amount)})`,
    zoom === root ? '' : `; shown: ${amount(metric, zoom.amount)}`)
  by_id('meaning').textContent = `${metric.meaning.split(' What freed')[0].replace(/\.$/, '')}. Width: ` +
    `${WIDTHS.find(([name]) => name === metric.width)[2].toLowerCase()}.`
}

function show_total(zoom) {
  if (data.compared) {
    show_compared_total(zoom)
    return
  }
  const { metric, root } = view, element = by_id('total')
  element.replaceChildren(
    make('b', { 'data-total': root.amount }, amount(metric, root.amount)),
    ` ${metric.label.toLowerCase()} in ${shown.window && !metric.of_whole ? 'the window' : 'all'} (${exact(metric, root.amount)})`,
    zoom === root ? '' : `; shown: ${amount(metric, zoom.amount)}, ${percent(zoom.value, root.value)}`)
  by_id('meaning').textContent = `${metric.meaning}.${metric.of_whole ? ' Of the whole recording: it is not known for a window' :
    shown.window ? ' Of the window of time' : ''}${shown.window ? '.' : ''}`
}

function show_search() {
  if (!state.search) {
    by_id('share').textContent = ''
    return null
  }
  const { metric } = view, found = search(data, metric, state.search)
  by_id('share').textContent = found.found
    ? `${percent(found.found, metric.whole)} (${amount(metric, found.amount)}) in stacks with it` : 'found nowhere'
  return found.places
}

function show() {
  const before = state
  drawn = location.hash
  state = state_of(location.hash)
  const window = times?.find(state.window) ?? null
  if (state.window !== before?.window) shown = window ? times.within(window) : data
  plot?.show(state, window, shown)
  for (const id of ['graph', 'lines', 'source', 'heap', 'programs']) by_id(id).hidden = state.view !== id
  tables?.show(state, shown)
  heap?.show(state, window)
  show_controls()
  if (view?.data !== shown || SETTINGS.some(key => before[key] !== state[key])) view = new View(shown, state)
  if (state.view !== 'graph') return
  const zoom = view.find(state.zoom ? state.zoom.split('.').map(Number) : [])
  show_total(zoom)
  flame.draw(zoom, show_search())
}

if (data.compared) show_compared_answer(data)
else show_answer(data)
show_asides(data, data.metrics.filter(metric => !metric.adds_up()).map(metric =>
  `${metric.label} does not add up to ${exact(metric, metric.total)}`))
set_up()
if (data.compared) {
  show_compared_legend()
  if (tables) show_programs(data)
  if (tables && data.heap) show_kept(data)
} else if (tables && !times) {
  show_how()
}
show()
document.title = `pymem-bpf${data.compared ? ' diff' : ''}: ${data.processes[0]?.name ?? 'nothing'}${data.processes.length > 1 ? ', …' : ''}`
document.documentElement.dataset.ready = Math.round(performance.now())
