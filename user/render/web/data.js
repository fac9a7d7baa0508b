// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The report's data (docs/VIEWS.md), unpacked into arrays.
//
// Frames are numbered in the order of a walk through the tree of calls, so what is below frame `i` is from `i` to
// `end[i]`. Amounts belong to few frames; for each metric they are lists in that order, with sums from the left,
// so what is below a frame takes two searches.

export const OWN = 0, LIBRARY = 1, TEXT = 2, PROCESS = 3, THREAD = 4, PLACE = 5

const METRICS = {
  grown: ['Grown', 'bytes', 'Memory that became resident while a stack ran, whatever was freed later'],
  net: ['Net', 'bytes', 'Grown minus freed: the change of RSS. What freed on balance is below a frame of its own'],
  freed: ['Freed', 'bytes', 'Memory that stopped being resident while a stack ran'],
  resident: ['Kept', 'bytes', 'Memory that is resident at the end, by the stack that touched it first'],
  copied: ['Copied', 'bytes', 'Pages copied because a stack wrote to what was shared after a fork'],
  faults: ['Faults', 'count', 'Page faults, minor and major'],
  stalled: ['Stalled', 'ns', 'Time for which threads waited for memory to be freed, or slept beyond memory.high'],
  cached: ['Cached', 'bytes', 'What stacks brought of files into the page cache'],
  kernel: ['Kernel', 'bytes', 'Memory of the kernel itself: what it took for a stack, less what it has freed since'],
  huge: ['Huge pages', 'bytes', 'What huge pages filled where a stack touched them first'],
  swapped: ['Swapped in', 'bytes', 'What stacks brought back from swap'],
  'swap-wait': ['Swap wait', 'ns', 'Time for which threads waited for what was swapped out'],
}
// It takes an option to measure these, so they are not missed.
const ASKED = ['stalled', 'cached', 'kernel', 'huge', 'swapped', 'swap-wait']

function unpack_tree(steps) {
  let count = 0
  for (const step of steps) count += step >= 0
  const place = new Int32Array(count), parent = new Int32Array(count), end = new Int32Array(count)
  const roots = []
  let at = -1, next = 0
  for (const step of steps) {
    if (step < 0) {
      for (let back = step; back; back++) at = parent[at]
      continue
    }
    if (at < 0) roots.push(next)
    parent[next] = at
    place[next] = step
    at = next++
  }
  for (let i = count - 1; i >= 0; i--) {
    if (end[i] < i + 1) end[i] = i + 1
    if (parent[i] >= 0 && end[parent[i]] < end[i]) end[parent[i]] = end[i]
  }
  return { count, place, parent, end, roots }
}

// Lists of frames and amounts, in the order of frames.
function unpack_figures(figures) {
  const { at: steps, amount, unit } = figures
  const at = new Int32Array(steps.length), amounts = new Float64Array(steps.length)
  let frame = 0, sorted = true
  for (let i = 0; i < steps.length; i++) {
    frame += steps[i]
    sorted &&= i === 0 || steps[i] >= 0
    at[i] = frame
    amounts[i] = amount[i] * unit
  }
  return sorted ? { at, amounts } : sort_figures({ at, amounts })
}

function sort_figures({ at, amounts }) {
  const order = Array.from(at.keys()).sort((a, b) => at[a] - at[b])
  return { at: Int32Array.from(order, i => at[i]), amounts: Float64Array.from(order, i => amounts[i]) }
}

// grown - freed of each frame.
export function difference(grown, freed) {
  const length = grown.at.length + freed.at.length
  const at = new Int32Array(length), amounts = new Float64Array(length)
  let i = 0, j = 0, n = 0
  while (i < grown.at.length || j < freed.at.length) {
    const frame = Math.min(i < grown.at.length ? grown.at[i] : Infinity, j < freed.at.length ? freed.at[j] : Infinity)
    let sum = 0
    while (i < grown.at.length && grown.at[i] === frame) sum += grown.amounts[i++]
    while (j < freed.at.length && freed.at[j] === frame) sum -= freed.amounts[j++]
    if (!sum) continue
    at[n] = frame
    amounts[n++] = sum
  }
  return { at: at.subarray(0, n), amounts: amounts.subarray(0, n) }
}

function sums_of(amounts, wanted) {
  const sums = new Float64Array(amounts.length + 1)
  for (let i = 0; i < amounts.length; i++) sums[i + 1] = sums[i] + (wanted(amounts[i]) ? Math.abs(amounts[i]) : 0)
  return sums
}

function first_from(at, frame) {
  let low = 0, high = at.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (at[middle] < frame) low = middle + 1
    else high = middle
  }
  return low
}

// An amount and its weight: what is wide is what is large, whatever its sign.
export class Metric {
  constructor(name, known, total, rows) {
    [this.label, this.unit, this.meaning] = METRICS[name]
    Object.assign(this, { name, known, total, ...rows })
    this.up = sums_of(this.amounts, amount => amount > 0)
    this.down = sums_of(this.amounts, amount => amount < 0)
    this.whole = this.up.at(-1) + this.down.at(-1)
    this.signed = name === 'net' || name === 'kernel'
  }

  // The indices of the amounts of frames from `from` to before `to`.
  range(from, to) {
    return [first_from(this.at, from), first_from(this.at, to)]
  }

  // What those above zero, or those below, add up to.
  sum(from, to, below) {
    const [first, last] = this.range(from, to), sums = below ? this.down : this.up
    return sums[last] - sums[first]
  }

  // What they add up to, with their signs.
  added(from, to) {
    return this.sum(from, to, false) - this.sum(from, to, true)
  }

  row(i) {
    return this.amounts[i]
  }

  weight(i) {
    return Math.abs(this.amounts[i])
  }

  // True if the amount is shown apart from those above zero.
  is_below(i) {
    return this.amounts[i] < 0
  }

  adds_up() {
    return this.up.at(-1) - this.down.at(-1) === this.total
  }
}

// {name: {at, amounts}}; `of(name)`: the metric's lists.
function unpack_rows(of) {
  const rows = {}
  for (const name of ['grown', 'freed', 'resident', 'copied', 'faults', ...ASKED]) rows[name] = unpack_figures(of(name))
  rows.net = of('net').at ? unpack_figures(of('net')) : difference(rows.grown, rows.freed)
  return rows
}

function shown(figures) {
  return Object.keys(METRICS).filter(name => !ASKED.includes(name) || figures[name].known)
}

export function unpack_metrics(figures) {
  const rows = unpack_rows(name => figures[name])
  return shown(figures).map(name => new Metric(name, figures[name].known, figures[name].total, rows[name]))
}

// Of a diff: `make(name, known, sides)` makes each metric of {total, at, amounts} of both sides. The one that the table
// has comes first.
export function unpack_compared(figures, make) {
  const rows = ['a', 'b'].map(side => unpack_rows(name => figures[name][side]))
  return ['net', ...shown(figures).filter(name => name !== 'net')].map(name => make(name, figures[name].known,
    ['a', 'b'].map((side, i) => ({ ...rows[i][name], total: figures[name][side].total }))))
}

function thread_name(tid, name) {
  if (!tid) return 'other threads'
  return name ? `thread ${tid} (${name})` : `thread ${tid}`
}

// Places are what frames stand for; those that the page adds (containers, "freed on balance") come behind.
function unpack_places(data) {
  const places = []
  for (let i = 0; i < data.places.length; i += 4) {
    const [kind, file, line, name] = data.places.slice(i, i + 4)
    if (kind === PROCESS) {
      const process = line < 0 ? null : data.processes[line]
      places.push({ kind, process, file: '', line: 0, name: process?.name ?? `${data.ended?.processes ?? ''} ended processes`.trim() })
    } else if (kind === TEXT) {
      places.push({ kind, file: '', line: 0, name: data.texts[name] })
    } else if (kind === THREAD) {
      places.push({ kind, file: '', line: 0, name: thread_name(line, data.texts[name]) })
    } else {
      places.push({ kind, text: file, file: data.texts[file], line, name: data.texts[name] || '?' })
    }
  }
  // Of a diff: in which sides a line is (1: A, 2: B, 3: both), and where it is in A.
  for (let i = 0; data.before && i < places.length; i++) {
    const [sides, file, line, name] = data.before.slice(4 * i, 4 * i + 4)
    Object.assign(places[i], { sides, side: sides === 1 ? 0 : 1 },
      sides === 3 && { before: { file: data.texts[file], line, name: data.texts[name] || '?' } })
  }
  return places
}

// `metrics_of(data)`: unpacks the figures.
export function read(data, metrics_of) {
  return { ...data, places: unpack_places(data), tree: unpack_tree(data.tree), metrics: metrics_of(data) }
}

export function place_text(place) {
  if (place.kind > LIBRARY) return ''
  return `${place.file || '(no file name)'}:${place.line || '?'}`
}
