// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What --format html adds: a table of all lines, and the source of each file with what its lines changed.
import { COMPARED_FIRST, ComparedLines } from './compare_lines.js'
import { by_id, make } from './dom.js'
import { place_text } from './data.js'
import { CHANGED, source_of, whose } from './details.js'
import { amount, count, exact, short, size } from './format.js'

const BYTES = { unit: 'bytes' }, COUNT = { unit: '' }, TIME = { unit: 'ns' }
// Columns that are shown at first; the names are those of the JSON.
const FIRST = {
  increment_bytes: ['Grew by', 'Net change of RSS while the line ran'],
  grown_bytes: ['Grown', 'What it added'],
  freed_bytes: ['Freed', 'What it took away'],
  total_bytes: ['With callees', 'Net change while the line was on the stack'],
  resident_bytes: ['Kept', 'Resident at the end, and touched first by the line'],
  cow_faults: ['Copied', 'Pages that its writes copied'],
  faults: ['Faults', 'Page faults, minor and major'],
  stalled_ns: ['Stalled', 'Time for which its threads waited for memory to be freed, or slept beyond memory.high'],
  cached_bytes: ['Cached', 'What it brought of files into the page cache'],
  kernel_bytes: ['Kernel', 'Memory of the kernel itself that was taken for it and is there'],
  huge_pages: ['Huge pages', 'Huge pages that became resident as a whole'],
  swapped_in_bytes: ['Swapped in', 'What it brought back from swap'],
  swap_wait_ns: ['Swap wait', 'Time for which its threads waited for what was swapped out'],
  minor_faults: ['Minor faults', ''],
  peak_bytes: ['Peak RSS', 'Highest RSS of the process seen while the line ran'],
}
const ROWS = 200 // shown at a time

function label_of(name) {
  return FIRST[name]?.[0] ?? name.replace(/_bytes$/, '').replaceAll('_', ' ')
}

// All lines, and their figures by column.
class Lines {
  constructor(data) {
    Object.assign(this, { data, ...data.lines })
    this.columns = Object.keys(data.lines).filter(name => !['process', 'place'].includes(name))
    this.length = this.place.length
    this.main = 'increment_bytes'
  }

  // Of a window of time, some columns are of the whole.
  label(name) {
    return label_of(name) + (this.data.unwindowed?.has(name) ? ' (whole)' : '')
  }

  remark() {
    return ''
  }

  // What no line has, so that the reader can add up.
  get lost() {
    const { window, rest, processes, ended } = this.data
    return window ? rest : [...processes, ended ?? {}].flatMap(p => Object.values(p.lost_bytes ?? {}))
      .reduce((a, b) => a + b, ended?.charged_bytes ?? 0)
  }

  metric(name) {
    if (name.endsWith('_ns')) return TIME
    return name.endsWith('_bytes') || name === 'cow_faults' ? { ...BYTES, signed: /^(increment|total|kernel)/.test(name) } : COUNT
  }

  value(name, row) {
    const value = this.data.lines[name][row]
    return name === 'cow_faults' && value !== null ? value * this.data.page_size : value
  }

  text(row) {
    const place = this.data.places[this.place[row]]
    return `${place.name} ${place_text(place)} ${this.data.processes[this.process[row]].name}`.toLowerCase()
  }
}

export class Tables {
  constructor(data, change) {
    Object.assign(this, { data, change, first: data.compared ? COMPARED_FIRST : FIRST })
    this.lines = data.compared ? new ComparedLines(data) : new Lines(data)
    this.sort = { name: this.lines.main, down: true }
    this.limit = ROWS
    this.set_up_views()
    this.set_up_lines()
    if (!data.compared) this.set_up_source()
  }

  // `shown`: the data, or what they are of a window of time.
  show({ view, filter = '', file }, shown) {
    if (shown !== this.lines.data) this.lines = new Lines(shown)
    for (const button of by_id('views').children) {
      button.setAttribute('aria-selected', String(button.dataset.view === view))
      button.tabIndex = button.dataset.view === view ? 0 : -1
    }
    if (view === 'lines') {
      if (by_id('filter').value !== filter) by_id('filter').value = filter
      this.draw_lines(filter)
    }
    if (view === 'source') this.draw_source(Number(file ?? this.data.sources[0]?.file))
  }

  set_up_views() {
    const names = [['graph', 'Flame graph'], ['lines', 'Lines'],
      this.data.compared ? ['programs', 'Programs'] : ['source', 'Source'], ...this.data.heap ? [['heap', 'Heap']] : []]
    this.views = names.map(([view]) => view)
    const buttons = names.map(([view, label]) => {
      const button = make('button', { type: 'button', role: 'tab', 'aria-controls': view, 'data-view': view }, label)
      button.addEventListener('click', () => this.change({ view }))
      return button
    })
    by_id('views').append(...buttons)
    by_id('views').hidden = false
    by_id('views').addEventListener('keydown', event => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
      if (!step) return
      const next = buttons[(buttons.indexOf(event.target) + step + buttons.length) % buttons.length]
      next.focus()
      next.click()
    })
  }

  // --- lines ---

  set_up_lines() {
    const filter = make('input', { type: 'search', id: 'filter', autocomplete: 'off', spellcheck: false,
      placeholder: 'function, file or process' })
    filter.addEventListener('input', () => this.change({ filter: filter.value }, true))
    const all = make('input', { type: 'checkbox', id: 'all' })
    all.addEventListener('change', () => this.draw_lines(filter.value))
    this.body = make('tbody')
    this.head = make('tr')
    this.sum = make('p', { id: 'sum', role: 'status' })
    this.more = make('button', { type: 'button', className: 'more' })
    this.more.addEventListener('click', () => {
      this.limit += 5 * ROWS
      this.draw_lines(filter.value)
    })
    by_id('lines').append(
      make('form', { className: 'tools' }, make('label', { className: 'grow' }, 'Filter ', filter),
        make('label', { className: 'check' }, all, ' all figures')), this.sum,
      make('div', { className: 'wide', tabIndex: 0, role: 'region', 'aria-label': 'Table of lines' },
        make('table', { className: 'lines' }, make('thead', null, this.head), this.body)), this.more)
    by_id('lines').firstChild.addEventListener('submit', event => event.preventDefault())
  }

  shown_columns() {
    return this.lines.columns.filter(name => by_id('all').checked || this.first[name])
  }

  header(name, label, title) {
    const chosen = this.sort.name === name
    const button = make('button', { type: 'button', title }, label, make('span', { 'aria-hidden': 'true' },
      chosen ? this.sort.down ? ' ▼' : ' ▲' : ''))
    button.addEventListener('click', () => {
      this.sort = { name, down: chosen ? !this.sort.down : name !== 'place' && name !== 'process' }
      this.draw_lines(by_id('filter').value)
      this.head.querySelector('[aria-sort] button')?.focus()
    })
    const cell = make('th', { scope: 'col', className: name === 'place' || name === 'process' ? 'left' : '' }, button)
    if (chosen) cell.setAttribute('aria-sort', this.sort.down ? 'descending' : 'ascending')
    return cell
  }

  key(row) {
    const { name } = this.sort
    if (name === 'process') return this.data.processes[this.lines.process[row]].name
    if (name === 'place') return place_text(this.data.places[this.lines.place[row]])
    return this.lines.value(this.lines.columns.includes(name) ? name : this.lines.main, row) ?? -Infinity
  }

  chosen_rows(filter) {
    const wanted = filter.toLowerCase(), keys = new Map(), sign = this.sort.down ? -1 : 1
    const rows = Array.from(this.lines.place.keys()).filter(row => !wanted || this.lines.text(row).includes(wanted))
    for (const row of rows) keys.set(row, this.key(row))
    if (this.data.compared && this.sort.name === this.lines.main) for (const row of rows) keys.set(row, Math.abs(keys.get(row)))
    return rows.sort((a, b) => {
      const x = keys.get(a), y = keys.get(b)
      return x < y ? -sign : x > y ? sign : a - b
    })
  }

  draw_lines(filter) {
    const rows = this.chosen_rows(filter), columns = this.shown_columns()
    const many = this.data.processes.length > 1
    this.head.replaceChildren(this.header('place', 'Line', ''),
      ...columns.map(name => this.header(name, this.lines.label(name), this.first[name]?.[1] ?? '')), ...many ? [this.header('process', 'Process', '')] : [])
    this.body.replaceChildren(...rows.slice(0, this.limit).map(row => this.row(row, columns, many)))
    const left = rows.length - this.limit
    this.more.hidden = left <= 0
    this.more.textContent = `Show more (${count(left)} left)`
    const { main } = this.lines, sum = rows.reduce((bytes, row) => bytes + this.lines.value(main, row), 0), kind = this.lines.metric(main)
    this.sum.replaceChildren(`${count(rows.length)} line${rows.length === 1 ? '' : 's'}, together `,
      make('b', { title: exact(kind, sum), 'data-sum': sum }, amount(kind, sum)), this.rest(filter, kind))
  }

  rest(filter, kind) {
    const { lost, data: { window } } = this.lines
    if (window) return filter ? '' : `; in no line: ${amount(kind, lost)}; all of the window of time`
    return lost && !filter ? `; in no line: ${amount(kind, lost)}` : ''
  }

  row(row, columns, many) {
    const { lines, data } = this, place = data.places[lines.place[row]]
    const link = make('a', { href: '#' }, make('b', null, place.name), ' ',
      make('span', { className: 'where', title: place_text(place) }, `${short(place.file) || '(no file name)'}:${place.line || '?'}`))
    link.addEventListener('click', event => {
      event.preventDefault()
      this.change({ view: 'source', file: String(place.text), line: String(place.line) })
    })
    const has_source = !data.compared && data.sources.some(source => source.file === place.text), remark = lines.remark(row)
    const at = make('td', { className: 'left' }, ...has_source ? [link] : [...link.childNodes],
      remark ? make('span', { className: 'remark' }, ` ${remark}`) : null)
    return make('tr', null, at, ...columns.map(name => {
      const value = lines.value(name, row), metric = lines.metric(name)
      return value === null ? make('td', null, '?')
        : make('td', { title: exact(metric, value), className: value ? '' : 'zero' }, amount(metric, value))
    }), many ? make('td', { className: 'left' }, data.processes[lines.process[row]].name) : null)
  }

  // --- source ---

  set_up_source() {
    const { data } = this
    if (!data.sources.length) {
      by_id('source').append(make('p', null, data.redacted ? 'Without source text: this report is redacted.'
        : 'No source text is known.'))
      return
    }
    this.files = make('select', { id: 'files' }, ...data.sources.map(source =>
      make('option', { value: source.file }, data.texts[source.file])))
    this.files.addEventListener('change', () => this.change({ file: this.files.value, line: '' }))
    this.text = make('div')
    by_id('source').append(make('label', null, 'File ', this.files), this.text)
  }

  // {line: {grew, kept, copied}} of a file, over all processes.
  figures_of(file) {
    const found = new Map(), { lines, data } = this
    for (let row = 0; row < lines.length; row++) {
      const place = data.places[lines.place[row]]
      if (place.text !== file) continue
      const sum = found.get(place.line) ?? { grew: 0, kept: 0, copied: 0 }
      sum.grew += lines.value('increment_bytes', row)
      if (lines.resident_bytes) sum.kept += lines.value('resident_bytes', row) ?? 0
      if (lines.cow_faults) sum.copied += lines.value('cow_faults', row)
      found.set(place.line, sum)
    }
    return found
  }

  draw_source(file) {
    const source = source_of(this.data, file)
    if (!source) return
    this.files.value = String(file)
    const figures = this.figures_of(file), names = [['grew', 'Grew by']]
    if (this.lines.resident_bytes) names.push(['kept', this.lines.label('resident_bytes')])
    if (this.lines.cow_faults) names.push(['copied', 'Copied'])
    const most = Object.fromEntries(names.map(([name]) =>
      [name, Math.max(1, ...[...figures.values()].map(f => Math.abs(f[name])))]))
    let last = 0
    const rows = [...source.known].flatMap(([line, text]) => {
      const gap = line !== last + 1 && last
      last = line
      return [...gap ? [make('tr', { className: 'gap' }, make('td', { colspan: names.length + 2 }, '…'))] : [],
        this.source_row(line, text, figures.get(line), names, most)]
    })
    this.text.replaceChildren(...[whose(this.data, source) && make('p', { className: 'small' }, whose(this.data, source)),
      source.changed && make('p', { className: 'aside' }, CHANGED)].filter(part => part),
    make('div', { className: 'wide', tabIndex: 0, role: 'region', 'aria-label': 'Source' },
      make('table', { className: 'source' }, make('thead', null, make('tr', null,
        ...names.map(([, label]) => make('th', { scope: 'col' }, label)), make('th', { scope: 'col' }, 'Line'),
        make('th', { scope: 'col', className: 'left' }, 'Source'))), make('tbody', null, ...rows))))
    const line = new URLSearchParams(location.hash.slice(1)).get('line')
    if (line) by_id(`line-${line}`)?.scrollIntoView({ block: 'center' })
  }

  source_row(line, text, figures, names, most) {
    const marked = new URLSearchParams(location.hash.slice(1)).get('line') === String(line)
    return make('tr', { id: `line-${line}`, className: marked ? 'here' : '' }, ...names.map(([name]) => {
      const value = figures?.[name] ?? 0
      const cell = make('td', { title: value ? exact(BYTES, value) : '', 'data-heat': name },
        value ? size(value, name === 'grew') : '')
      if (value > 0) cell.style.setProperty('--share', (0.1 + 0.45 * value / most[name]).toFixed(3))
      return cell
    }), make('th', { scope: 'row' }, `${marked ? '▶ ' : ''}${line}`),
    make('td', { className: 'left' }, make('code', null, text)))
  }
}
