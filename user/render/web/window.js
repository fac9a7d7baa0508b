// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a recording knows of time (docs/VIEWS.md, `time`), unpacked; and the figures of a window of it.
//
// Time is cut into slices, and a window has whole ones: from border `from` to border `to`, of 0 to `slices`. What each
// frame did in each slice is known, so for a window it is added up anew. What no line has is not: for a window it is
// what is left of the change of RSS, and the page says so.
import { Metric, difference } from './data.js'

export const KINDS = ['anon', 'file', 'shmem', 'swap']

// Times of the data are in microseconds.
export function in_seconds(time) {
  return time / 1e6
}

// Levels of all slices, in bytes; -1: unknown.
function unpack_levels(steps, slices, unit) {
  const levels = new Float64Array(slices).fill(-1)
  let slice = 0, level = -1
  for (let i = 0; i < steps.length; i += 2) {
    slice += steps[i]
    level += steps[i + 1]
    levels.fill(level < 0 ? -1 : level * unit, slice)
  }
  return levels
}

function unpack_changes({ slice: slices, frame: frames, ...amounts }) {
  const slice = new Int32Array(slices.length), frame = new Int32Array(slices.length)
  let last_slice = 0, last_frame = 0
  for (let i = 0; i < slices.length; i++) {
    slice[i] = last_slice += slices[i]
    frame[i] = last_frame += frames[i]
  }
  return { slice, frame, ...amounts }
}

function unpack_process(data, process) {
  const { slices } = data.time, about = data.processes[process.process]
  const levels = Object.fromEntries(KINDS.map(kind => [kind, unpack_levels(process[kind], slices, data.page_size)]))
  const rss = new Float64Array(slices)
  for (let i = 0; i < slices; i++) rss[i] = levels.anon[i] < 0 ? -1 : levels.anon[i] + levels.file[i] + levels.shmem[i]
  const pss = unpack_levels(process.pss ?? [], slices, 1)
  const peak = unpack_levels(process.peak, slices, data.page_size), most = unpack_levels(process.most, slices, data.page_size)
  return { ...process, about, levels, rss, pss, peak, most, first: rss.findIndex(level => level >= 0), changes: unpack_changes(process.changes) }
}

// Sums by frame of a window: {frame: [grown, freed, copied, faults, stalled]}, in bytes, faults, ns.
function sums_of(process, from, to, page_size) {
  const { slice, frame, grown, freed, copied, faults, stalled } = process.changes, sums = new Map()
  for (let i = 0; i < slice.length; i++) {
    if (slice[i] < from || slice[i] >= to) continue
    let sum = sums.get(frame[i])
    if (!sum) sums.set(frame[i], sum = [0, 0, 0, 0, 0])
    sum[0] += grown[i] * page_size
    sum[1] += freed[i] * page_size
    sum[2] += copied[i] * page_size
    sum[3] += faults[i]
    sum[4] += stalled[i]
  }
  return sums
}

// By frame, of what it did in a window: [the highest RSS while it did, 0: not known; the highest before the window].
function peaks_of(process, from, to, page_size) {
  const { slice, frame, peak, peak_before } = process.changes, before = new Map(), peaks = new Map()
  for (let i = 0; peak && i < slice.length; i++) {
    const at = frame[i]
    before.set(at, Math.max(before.get(at) ?? 0, peak_before?.[i] ?? 0, slice[i] < from ? peak[i] : 0))
    if (slice[i] >= from && slice[i] < to) peaks.set(at, Math.max(peaks.get(at) ?? 0, peak[i]))
  }
  return new Map([...peaks].map(([at, pages]) => [at, [pages * page_size, before.get(at) * page_size]]))
}

export class Times {
  constructor(data) {
    const { slices, cgroups } = data.time, [start, end] = [data.time.start, data.time.end].map(in_seconds)
    Object.assign(this, { data, start, end, slices, length: (end - start) / slices })
    this.processes = data.time.processes.map(process => unpack_process(data, process))
    this.cgroups = cgroups.map(cgroup => ({ ...cgroup, current: unpack_levels(cgroup.current, slices, 1),
      limit: unpack_levels(cgroup.limit, slices, 1) }))
    this.marks = data.time.marks.map(mark => ({ ...mark, time: in_seconds(mark.time) }))
  }

  // The time of a border, in seconds since the epoch.
  at(border) {
    return border >= this.slices ? this.end : this.start + border * this.length
  }

  // The window of an address, {from, to}; null: all.
  find(text) {
    const [, from, to] = /^(\d{1,6})-(\d{1,6})$/.exec(text ?? '')?.map(Number) ?? []
    if (!(from < to && to <= this.slices) || (from === 0 && to === this.slices)) return null
    return { from, to }
  }

  // RSS of a process at a border: what it had at its start before it was there, at its end after it was.
  rss_at(process, border) {
    if (border <= process.first || process.first < 0 || border === 0) return process.about.rss_start_bytes
    const level = process.rss[border - 1]
    return level < 0 || (border >= this.slices && process.about.exited) ? process.about.rss_end_bytes : level
  }

  // RSS of a process in a window: {first, last, peak, exact}. The peak is exact if it is the highest since the recording
  // began, else as high as RSS at the ends of intervals. null: the process was not there.
  rss_within(process, { from, to }) {
    const first = this.rss_at(process, from), last = this.rss_at(process, to), now = process.peak[to - 1]
    const before = from ? process.peak[from - 1] : (process.peak_before ?? -1) * this.data.page_size
    if (now < 0) return null
    if (before <= 0 || now > before) return { first, last, peak: now, exact: true }
    const peak = Math.max(first, ...process.most.slice(from, to))
    return { first, last, peak, exact: peak >= before }
  }

  // The sum of a kind of the processes at the end of each slice.
  sum(processes, kind) {
    const sum = new Float64Array(this.slices)
    for (const process of processes) {
      const levels = kind === 'rss' ? process.rss : process.levels[kind]
      for (let i = 0; i < this.slices; i++) if (levels[i] > 0) sum[i] += levels[i]
    }
    return sum
  }

  // PSS of the processes at the end of each slice; -1 where it is not known of each that is there.
  pss(processes) {
    return Array.from({ length: this.slices }, (_, i) => {
      const there = processes.filter(process => process.rss[i] >= 0)
      return there.length && there.every(process => process.pss[i] >= 0) ? there.reduce((sum, process) => sum + process.pss[i], 0) : -1
    })
  }

  // The sum at the start: of those that are there then.
  first_sum(processes) {
    return processes.filter(p => p.first === 0).reduce((sum, p) => sum + p.about.rss_start_bytes, 0)
  }

  // The report's data with the figures of the window in place of those that can be told for one. `unwindowed`: the
  // names of columns of lines that are of the whole all the same; `rest`: what no line has.
  within({ from, to }) {
    const { data } = this, all = new Map(), lines = new LineSums(data), rss_within = new Map()
    let change = 0, charged = 0
    for (const process of this.processes) {
      const sums = sums_of(process, from, to, data.page_size)
      for (const [frame, sum] of sums) {
        all.set(frame, sum)
        charged += sum[0] - sum[1]
      }
      change += this.rss_at(process, to) - this.rss_at(process, from)
      lines.add(process.process, sums, peaks_of(process, from, to, data.page_size))
      rss_within.set(process.about, this.rss_within(process, { from, to }))
    }
    return { ...data, rss_within, metrics: this.metrics(all), lines: data.lines && lines.columns(), unwindowed: lines.whole(),
      window: { from, to }, change, rest: change - charged }
  }

  metrics(sums) {
    const frames = [...sums.keys()].sort((a, b) => a - b), rows = {}
    const known = Object.fromEntries(this.data.metrics.map(metric => [metric.name, metric]))
    for (const [i, name] of ['grown', 'freed', 'copied', 'faults', 'stalled'].entries()) {
      const at = frames.filter(frame => sums.get(frame)[i])
      rows[name] = { at: Int32Array.from(at), amounts: Float64Array.from(at, frame => sums.get(frame)[i]) }
    }
    rows.net = difference(rows.grown, rows.freed)
    return this.data.metrics.map(({ name }) => {
      if (!rows[name]) return Object.assign(Object.create(known[name]), { of_whole: true })
      const total = rows[name].amounts.reduce((sum, amount) => sum + amount, 0)
      return new Metric(name, known[name].known, total, rows[name])
    })
  }
}

const SUMS = { grown_bytes: 0, freed_bytes: 1, cow_faults: 2, faults: 3, stalled_ns: 4 }
const WINDOWED = ['increment_bytes', 'total_bytes', ...Object.keys(SUMS), 'minor_faults', 'major_faults']

// The columns of lines (docs/VIEWS.md, `lines`) of a window.
class LineSums {
  constructor(data) {
    Object.assign(this, { data, rows: new Map(), known: new Map(), peaks: data.time.processes.every(process => process.changes.peak) })
    const { process, place } = data.lines ?? { process: [], place: [] }
    place.forEach((number, i) => this.known.set(`${process[i]} ${number}`, i))
  }

  row(process, place) {
    const key = `${process} ${place}`
    let row = this.rows.get(key)
    if (!row) this.rows.set(key, row = { process, place, whole: this.known.get(key), own: [0, 0, 0, 0, 0], total: 0, peak: 0, before: 0 })
    return row
  }

  // `peaks`: of the frames of `sums`.
  add(process, sums, peaks) {
    const { parent, place } = this.data.tree
    for (const [frame, sum] of sums) {
      const [peak, before] = peaks.get(frame) ?? [0, 0]
      const { own } = this.row(process, place[frame]), met = new Set()
      sum.forEach((amount, i) => { own[i] += amount })
      // Each line of the stack once; the process itself, and what stands for missing callers, are no lines.
      for (let at = frame; at >= 0; at = parent[at]) {
        if (met.has(place[at]) || this.data.places[place[at]].text === undefined) continue
        met.add(place[at])
        const row = this.row(process, place[at])
        row.total += sum[0] - sum[1]
        row.peak = Math.max(row.peak, peak)
        if (peak < before) row.before = Math.max(row.before, before)
      }
    }
  }

  whole() {
    return new Set(Object.keys(this.data.lines ?? {}).filter(name => !WINDOWED.includes(name) && !(this.peaks && name === 'peak_bytes')))
  }

  columns() {
    const rows = [...this.rows.values()].filter(row => row.total || row.own.some(amount => amount))
    const { lines, page_size } = this.data, columns = { process: rows.map(row => row.process), place: rows.map(row => row.place),
      increment_bytes: rows.map(row => row.own[0] - row.own[1]), total_bytes: rows.map(row => row.total),
      grown_bytes: rows.map(row => row.own[0]), freed_bytes: rows.map(row => row.own[1]) }
    // A line's peak is known if one of its stacks was as high as the others were before.
    if (this.peaks && lines.peak_bytes) columns.peak_bytes = rows.map(row => (row.peak < row.before ? null : row.peak))
    const known = name => this.data.metrics.find(metric => metric.name === name)?.known
    if (known('copied')) columns.cow_faults = rows.map(row => row.own[2] / page_size)
    if (known('faults')) columns.faults = rows.map(row => row.own[3])
    if (known('stalled')) columns.stalled_ns = rows.map(row => row.own[4])
    for (const name of this.whole()) {
      if (columns[name]) continue
      columns[name] = rows.map(row => row.whole === undefined ? null : lines[name][row.whole])
    }
    return columns
  }
}

// "14:03:10", of seconds since the epoch, in UTC as all of the page; with `parts` of a second where slices are short.
export function clock(seconds, parts = 0) {
  const date = new Date(Math.round(seconds * 1000))
  if (Number.isNaN(date.getTime())) return '?'
  return date.toISOString().slice(11, parts ? 20 + parts : 19)
}

export function duration(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  if (seconds < 120) return `${Math.round(seconds)} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${(seconds / 86400).toFixed(1)} d`
}
