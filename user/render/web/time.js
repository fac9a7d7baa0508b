// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The time plot above the tabs: when RSS grew, in a sentence and a picture, and a window of it that all below follows.
// The window is set by pointer, by keys or in two fields.
import { by_id, make } from './dom.js'
import { exact, size } from './format.js'
import { AREAS, LEFT, draw, draw_band, mark_text, svg } from './plot.js'
import { KINDS, clock, duration } from './window.js'

const MIB = 1024 * 1024, NEAR = 8, NEAR_TOUCH = 22, EVENTS_MOST = 500, SETTLED_MS = 150
const SIGNS = [['gc', 'G', 'full garbage collections, and how many'], ['reclaim', 'R', 'memory was reclaimed: at a limit, or the host had too little; and how often']]
const HELP = 'Drag over the plot, or focus it: ← → move the window, with Shift its end, with Ctrl its start; Esc clears it.'

function whole_mib(bytes) {
  return bytes < 10 * MIB ? (bytes / MIB).toFixed(1) : String(Math.round(bytes / MIB))
}

// The shortest span in which RSS rose (or fell) by most of what it did in all: {from, to, bytes}.
function steepest(rss, whole) {
  const sign = Math.sign(whole), wanted = 0.6 * Math.abs(whole)
  for (let length = 1; length < rss.length; length++) {
    let best = null
    for (let from = 0; from + length < rss.length; from++) {
      const bytes = sign * (rss[from + length] - rss[from])
      if (bytes >= wanted && (!best || bytes > best.bytes)) best = { from, to: from + length, bytes }
    }
    if (best) return best
  }
  return null
}

// When it grew. `rss`: at each border of the window, which begins at border `begin`.
export function sentence(times, rss, begin, what) {
  const first = rss[0], last = rss.at(-1), change = last - first, most = Math.max(...rss)
  const time = border => clock(times.at(begin + border), times.length < 0.5 ? 1 : 0)
  const peak = most > Math.max(first, last) * 1.1 + MIB
    ? `; the highest was ${whole_mib(most)} MiB at ${time(rss.indexOf(most))}` : ''
  const span = duration((rss.length - 1) * times.length)
  if (Math.abs(change) < Math.max(MIB / 4, 0.02 * first)) {
    return `RSS${what} ${peak ? 'was' : 'stayed at about'} ${whole_mib(first)} MiB at ${peak ? 'both ends of' : 'all times of'} ${span}${peak}.`
  }
  const head = `RSS${what} ${change > 0 ? 'rose' : 'fell'} from ${whole_mib(first)} to ${whole_mib(last)} MiB`
  const found = steepest(rss, change), share = found ? (found.to - found.from) / (rss.length - 1) : 1
  if (share > 0.5 || rss.length < 4) return `${head} over ${span}${peak}.`
  // Where it fell again, a part may be more than the whole.
  const part = found.bytes > Math.abs(change) ? `, by ${whole_mib(found.bytes)} MiB alone` : `; most of it, ${whole_mib(found.bytes)} MiB,`
  return `${head}${part} in ${duration((found.to - found.from) * times.length)} from ${time(found.from)}${peak}.`
}

export class Plot {
  constructor(data, times, change) {
    Object.assign(this, { data, times, change, window: null, chosen: -1 })
    this.set_up()
    new ResizeObserver(() => {
      if (Math.abs(this.frame.clientWidth - this.width) > 4) this.draw()
    }).observe(this.frame)
  }

  set_up() {
    this.said = make('p', { id: 'when', className: 'sentence' })
    this.picture = svg('svg', { role: 'img', id: 'picture' })
    this.frame = make('div', { id: 'plot', tabIndex: 0, role: 'group', 'aria-describedby': 'span',
      'aria-label': `Time plot. ${HELP}` })
    this.frame.append(this.picture)
    this.span = make('output', { id: 'span' })
    this.from = this.field('from', 'From second')
    this.to = this.field('to', 'to second')
    this.all = make('button', { type: 'button', id: 'whole' }, 'All of it (Esc)')
    this.all.addEventListener('click', () => this.set(null))
    this.key = make('ul', { className: 'key', 'aria-label': 'Kinds of memory' })
    const form = make('form', { className: 'tools', 'aria-label': 'Window of time' }, this.processes(),
      make('label', null, 'From second ', this.from), make('label', null, 'to second ', this.to), this.all)
    form.addEventListener('submit', event => event.preventDefault())
    by_id('time').append(this.said, this.frame, this.key, form, this.span, ...this.events())
    by_id('time').hidden = false
    this.frame.addEventListener('keydown', event => this.on_key(event))
    for (const name of ['pointerdown', 'pointermove', 'pointerup', 'pointercancel']) {
      this.frame.addEventListener(name, event => this[`on_${name}`](event))
    }
  }

  field(id) {
    const { start, end, length } = this.times
    const input = make('input', { type: 'number', id, min: 0, max: Number((end - start).toFixed(3)), step: 'any', inputMode: 'decimal' })
    input.title = `A slice has ${duration(length)}`
    input.addEventListener('change', () => this.on_field())
    return input
  }

  processes() {
    if (this.times.processes.length < 2) return null
    this.select = make('select', { id: 'of' }, make('option', { value: -1 }, 'all processes'),
      ...this.times.processes.map((p, i) => make('option', { value: i }, p.about.name)))
    this.select.addEventListener('change', () => this.change({ plot: this.select.value === '-1' ? '' : this.select.value }, true))
    return make('label', null, 'Plot of ', this.select)
  }

  events() {
    if (!this.times.marks.length) return []
    this.summary = make('summary')
    this.listed = make('ul')
    return [make('details', { id: 'events' }, this.summary, this.listed)]
  }

  // The marks of what is plotted.
  marks() {
    const { marks, processes } = this.times
    if (this.chosen < 0) return marks
    const { process, cgroup } = processes[this.chosen]
    // Which group limits a process may be unknown (cgroup v1).
    const of_group = { oom: mark => mark.cgroup === cgroup, 'host-reclaim': () => true,
      reclaim: mark => cgroup < 0 || mark.groups.includes(cgroup), unseen: mark => mark.process === null }
    return marks.filter(mark => mark.process === process || of_group[mark.event]?.(mark))
  }

  // All marks as texts, those of the window if there is one.
  list_events(window) {
    if (!this.listed) return
    const { times, data } = this, parts = times.length < 0.5 ? 1 : 0
    const from = times.at(window?.from ?? 0), to = times.at(window?.to ?? times.slices)
    // What is not seen is of all times.
    const unseen = this.marks().filter(mark => mark.event === 'unseen')
    const marks = this.marks().filter(mark => mark.event !== 'unseen' && mark.time >= from && mark.time <= to)
    const first = marks.slice(0, EVENTS_MOST), rows = [...first.map(mark => `${clock(mark.time, parts)} ${mark_text(data, times, mark)}`),
      ...marks.length > first.length ? [`and ${marks.length - first.length} more`] : [],
      ...unseen.slice(0, EVENTS_MOST).map(mark => mark_text(data, times, mark))]
    this.summary.textContent = `${marks.length} event${marks.length === 1 ? '' : 's'}${window ? ' in the window' : ''}${
      unseen.length ? `; what is not seen: ${unseen.length}` : ''}`
    this.listed.replaceChildren(...rows.map(text => make('li', null, text)))
  }

  // --- what is shown ---

  show(state, window, shown) {
    const chosen = /^\d{1,6}$/.test(state.plot ?? '') && this.times.processes[Number(state.plot)] ? Number(state.plot) : -1
    const redraw = chosen !== this.chosen || !this.scale
    clearTimeout(this.waiting)
    Object.assign(this, { window, chosen, shown, preview: window })
    if (this.select) this.select.value = String(chosen)
    if (redraw) this.draw()
    this.show_window(window, shown)
  }

  draw() {
    const { times, data } = this
    const shown = this.chosen < 0 ? times.processes : [times.processes[this.chosen]]
    const levels = Object.fromEntries(KINDS.map(kind => [kind, times.sum(shown, kind)]))
    const groups = new Set(shown.map(process => process.cgroup)), rss = times.sum(shown, 'rss')
    this.pss = times.pss(shown)
    const first = times.first_sum(shown), cgroup = groups.size === 1 ? times.cgroups[[...groups][0]] : null
    const marks = this.marks()
    this.width = this.frame.clientWidth || 1000
    this.rss = [first, ...rss]
    // At border 0 is what is there in the first slice.
    this.there = Array.from(rss, (_, i) => shown.some(process => process.rss[i] >= 0))
    this.there.unshift(this.there[0])
    const drawn = draw(this.picture, { data, times, levels, pss: this.pss, first, there: this.there, cgroup, marks, width: this.width })
    this.scale = drawn.scale
    this.key.replaceChildren(...AREAS.filter(([kind]) => drawn.kinds.includes(kind)).map(([kind, name]) =>
      make('li', null, make('i', { className: `swatch ${kind}` }), name)),
    ...this.pss.some(bytes => bytes >= 0) ? [make('li', { title: 'Proportional set size: each page divided by the number of its users' },
      make('i', { className: 'swatch pss' }), 'PSS: shared pages count once (dotted)')] : [],
    ...cgroup && Math.max(...cgroup.limit) > 0 ? [make('li', null, make('i', { className: 'swatch limit' }),
      `limit of ${cgroup.name}${drawn.limit_above ? `, ${size(drawn.limit_above)}: above the picture` : ''}`)] : [],
    ...SIGNS.filter(([kind]) => this.picture.querySelector(`.sign.${kind}`)).map(([kind, letter, name]) =>
      make('li', null, make('i', { className: `swatch sign ${kind}` }, letter), name)))
    draw_band(this.picture, this.scale, this.window)
  }

  what() {
    if (this.chosen >= 0) return ` of ${this.times.processes[this.chosen].about.name}`
    return this.times.processes.length > 1 ? ` of all ${this.times.processes.length} processes` : ''
  }

  // Without what was before a beginning or after an end.
  sentence_of(from, to) {
    let [first, last] = [from, to]
    while (first < last && !this.there[first]) first++
    while (last > first && !this.there[last]) last--
    return this.there[first] ? sentence(this.times, this.rss.slice(first, last + 1), first, this.what()) + this.pss_words(from, to)
      : `Nothing ran${this.what()}.`
  }

  // The last PSS between two borders.
  pss_words(from, to) {
    let last = to - 1
    while (last >= from && this.pss[last] < 0) last--
    if (last < from) return ''
    const time = clock(this.times.at(last + 1), this.times.length < 0.5 ? 1 : 0)
    return ` PSS, in which shared pages count once, was ${whole_mib(this.pss[last])} MiB at ${time}.`
  }

  show_window(window, shown) {
    const { times } = this, { from, to } = window ?? { from: 0, to: times.slices }
    const words = this.sentence_of(from, to)
    this.said.textContent = window ? `In the window: ${words}` : words
    this.picture.setAttribute('aria-label', words)
    this.preview = window
    draw_band(this.picture, this.scale, window)
    this.set_fields(window)
    this.list_events(window)
    this.all.hidden = !window
    if (window) this.span.replaceChildren(...this.figures(window, shown))
    else this.span.textContent = HELP
  }

  set_fields(window) {
    const { from, to } = window ?? { from: 0, to: this.times.slices }
    for (const [input, border] of [[this.from, from], [this.to, to]]) {
      input.value = Number((this.times.at(border) - this.times.start).toFixed(3))
      input.setCustomValidity('')
    }
  }

  describe({ from, to }) {
    const { times } = this, parts = times.length < 0.5 ? 1 : 0
    return `${clock(times.at(from), parts)} – ${clock(times.at(to), parts)} UTC, ${duration((to - from) * times.length)}`
  }

  // The window's figures, of all processes: lines, and what is in none of them, are the change of RSS.
  figures(window, shown) {
    const net = shown.change - shown.rest, bytes = (name, value, sign = true) => make('b', { title: exact({ unit: 'bytes' }, value), [`data-${name}`]: value },
      size(value, sign))
    return [make('span', { className: 'range' }, this.describe(window)), `: lines${this.times.processes.length > 1 ? ' of all processes' : ''} `, bytes('net', net),
      ', in no line ', bytes('rest', shown.rest), ', so RSS ', bytes('change', shown.change),
      '. Below, grown, freed, net, copied, faults and stalled are of this window; what is said to be of the whole is not.']
  }

  // --- how a window is set ---

  set(window) {
    const whole = !window || (window.from === 0 && window.to === this.times.slices)
    clearTimeout(this.waiting)
    this.change({ window: whole ? '' : `${window.from}-${window.to}` }, true)
    // Where nothing has changed, nothing was drawn anew.
    this.show_window(this.window, this.shown)
  }

  // Shows it at once, and lets what is below follow once no more keys come.
  set_soon(window) {
    this.try(window)
    clearTimeout(this.waiting)
    this.waiting = setTimeout(() => this.set(window), SETTLED_MS)
  }

  try(window) {
    this.preview = window
    draw_band(this.picture, this.scale, window)
    this.span.textContent = window ? this.describe(window) : ''
  }

  on_key(event) {
    const { slices } = this.times, step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key]
    if (event.altKey || event.metaKey) return
    if (event.key === 'Escape' && this.preview) {
      event.stopPropagation()
      this.set(null)
    } else if (event.key === 'Home' || event.key === 'End') {
      this.set_soon(this.moved(event.key === 'Home' ? -slices : slices, event))
    } else if (step) {
      this.set_soon(this.preview ? this.moved(step, event) : this.begun(step))
    } else {
      return
    }
    event.preventDefault()
  }

  // The first window: a tenth, at the end from which the key leads away.
  begun(step) {
    const { slices } = this.times, length = Math.max(1, Math.round(slices / 10))
    return step > 0 ? { from: 0, to: length } : { from: slices - length, to: slices }
  }

  moved(step, { shiftKey, ctrlKey }) {
    const { slices } = this.times, { from, to } = this.preview ?? this.begun(-step)
    const within = (border, least, most) => Math.min(most, Math.max(least, border))
    if (shiftKey) return { from, to: within(to + step, from + 1, slices) }
    if (ctrlKey) return { from: within(from + step, 0, to - 1), to }
    const by = within(step, -from, slices - to)
    return { from: from + by, to: to + by }
  }

  border_at(event) {
    const { slices } = this.times, box = this.picture.getBoundingClientRect()
    const x = (event.clientX - box.left) * this.picture.viewBox.baseVal.width / box.width
    return Math.min(slices, Math.max(0, Math.round((x - LEFT) / this.scale.width * slices)))
  }

  on_pointerdown(event) {
    if (event.button) return
    const near = event.pointerType === 'mouse' ? NEAR : NEAR_TOUCH, x = event.clientX - this.picture.getBoundingClientRect().left
    const is_near = border => this.window && Math.abs(this.scale.x(border) - x) <= near
    this.anchor = is_near(this.window?.from) ? this.window.to : is_near(this.window?.to) ? this.window.from : this.border_at(event)
    this.pressed = { x: event.clientX, moved: false }
    this.frame.setPointerCapture(event.pointerId)
  }

  on_pointermove(event) {
    if (!this.pressed) return
    this.pressed.moved ||= Math.abs(event.clientX - this.pressed.x) > 3
    if (!this.pressed.moved) return
    const border = this.border_at(event), from = Math.min(border, this.anchor), to = Math.max(border, this.anchor)
    if (from < to) this.try({ from, to })
  }

  on_pointerup() {
    if (!this.pressed) return
    const { moved } = this.pressed
    this.pressed = null
    if (moved) this.set(this.preview)
    else if (this.window) this.set(null)
  }

  on_pointercancel() {
    this.pressed = null
    this.try(this.window)
  }

  on_field() {
    const { times } = this, border = input => Math.round(Number(input.value) / times.length)
    const from = border(this.from), to = border(this.to)
    if (from >= 0 && from < to && to <= times.slices && this.from.value && this.to.value) {
      this.set({ from, to })
      return
    }
    for (const input of [this.from, this.to]) input.setCustomValidity(`Between 0 and ${this.from.max}, the first before the second`)
    this.to.reportValidity()
  }
}

// Where there is no time: how to have it.
export function show_how() {
  by_id('time').append(make('p', { className: 'small' }, 'When memory grew is in a report of a recording: ',
    make('code', null, 'pymem-bpf record -o run.pymem -p PID'), ', then ',
    make('code', null, 'pymem-bpf report run.pymem --format html -o run.html')))
  by_id('time').hidden = false
}
