// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The picture of the time plot: RSS by kind as stacked areas, the limit of a control group, events, axes. Pixels are
// those of the element, so texts keep their size in windows of any width.
import { clock } from './window.js'

export const TOP = 40, LEFT = 74, RIGHT = 14, BOTTOM = 24, HEIGHT = 210
const MIB = 1024 * 1024, LETTER = 6.4, LANES = 2, MARKS_MOST = 300
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400]

export const AREAS = [['anon', 'anonymous'], ['file', 'files'], ['shmem', 'shared'], ['swap', 'swapped out (no part of RSS)']]

// An element of SVG with attributes, and texts or elements in it.
export function svg(name, attributes, ...inside) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name)
  for (const [key, value] of Object.entries(attributes ?? {})) element.setAttribute(key, value)
  element.append(...inside.filter(part => part !== null && part !== undefined))
  return element
}

function nice(raw) {
  const power = 10 ** Math.floor(Math.log10(raw))
  return power * ([1, 2, 5].find(step => step * power >= raw) ?? 10)
}

function mib(bytes) {
  const value = bytes / MIB
  return value >= 10000 ? `${Number((value / 1024).toFixed(1))} GiB` : `${Number(value.toPrecision(4))} MiB`
}

class Scale {
  constructor(times, width, most) {
    Object.assign(this, { times, width: Math.max(200, width - LEFT - RIGHT), most: Math.max(most, MIB / 4) * 1.06 })
    this.bottom = HEIGHT - BOTTOM
  }

  x(border) {
    return LEFT + this.width * border / this.times.slices
  }

  x_of_time(time) {
    const { start, end } = this.times
    return LEFT + this.width * (end > start ? Math.min(1, Math.max(0, (time - start) / (end - start))) : 0)
  }

  y(bytes) {
    return this.bottom - (this.bottom - TOP) * bytes / this.most
  }
}

function axes(scale) {
  const { times, width, bottom, most } = scale, parts = []
  const step = nice(most / MIB / 5) * MIB
  for (let at = 0; at <= most; at += step) {
    const y = scale.y(at)
    parts.push(svg('line', { class: 'grid', x1: LEFT, x2: LEFT + width, y1: y, y2: y }),
      svg('text', { class: 'tick', x: LEFT - 8, y: y + 4, 'text-anchor': 'end' }, mib(at)))
  }
  const span = times.end - times.start
  const every = STEPS.find(s => span / s <= width / 96) ?? Math.ceil(span / 86400 / (width / 96)) * 86400
  for (let time = Math.ceil(times.start / every) * every, n = 0; time <= times.end && n < 40; time += every, n++) {
    const x = scale.x_of_time(time)
    parts.push(svg('line', { class: 'grid', x1: x, x2: x, y1: bottom, y2: bottom + 4 }))
    if (x > LEFT + 30 && x < LEFT + width - 56) {
      parts.push(svg('text', { class: 'tick', x, y: bottom + 17, 'text-anchor': 'middle' }, tick(time, every, span)))
    }
  }
  parts.push(svg('text', { class: 'tick', x: LEFT + width, y: bottom + 17, 'text-anchor': 'end' }, 'UTC'))
  return parts
}

function tick(time, every, span) {
  const date = new Date(Math.round(time * 1000)).toISOString()
  if (every >= 86400) return date.slice(5, 10)
  return span > 86400 ? `${date.slice(5, 10)} ${date.slice(11, 16)}` : clock(time, every < 1 ? 1 : 0)
}

// `gone`: the borders at which nothing is there any more, and was at the one before. It does not shrink till then: it
// ends.
function path_of(scale, above, below, gone) {
  const points = list => list.flatMap((bytes, i) => {
    const point = level => `${scale.x(i).toFixed(1)} ${scale.y(level).toFixed(1)}`
    return gone.has(i) ? [point(list[i - 1]), point(bytes)] : [point(bytes)]
  })
  return `M${[...points(above), ...points(below).reverse()].join('L')}Z`
}

// Kinds on top of each other. `first`: RSS at the start, of which the kinds are not known: what the first slice
// changed is drawn as if it were all anonymous.
function stack(levels, first) {
  let below = new Array(levels.anon.length + 1).fill(0)
  const areas = []
  for (const [kind] of AREAS) {
    const at = [...levels[kind]], known = at[0]
    at.unshift(kind === 'anon' ? Math.max(0, first - levels.file[0] - levels.shmem[0]) : known)
    const above = below.map((bytes, i) => bytes + at[i])
    areas.push({ kind, above, below, some: at.some(bytes => bytes > 0) })
    below = above
  }
  return areas
}

function limit_line(scale, cgroup) {
  if (!cgroup) return []
  const parts = [], { limit } = cgroup
  let last = null
  for (let i = 0; i < limit.length; i++) {
    if (limit[i] < 0 || limit[i] > scale.most) continue
    if (last && last.bytes === limit[i] && last.to === i) last.to = i + 1
    else parts.push(last = { bytes: limit[i], from: i, to: i + 1 })
  }
  return parts.flatMap(({ bytes, from, to }, i) => [
    svg('line', { class: 'limit', x1: scale.x(from), x2: scale.x(to), y1: scale.y(bytes), y2: scale.y(bytes) }),
    i ? null : svg('text', { class: 'tick limit-text', x: scale.x(from) + 6, y: scale.y(bytes) - 5 },
      `limit of ${cgroup.name}: ${mib(bytes)}`)].filter(part => part))
}

const COUNTED = { gc: 'G', reclaim: 'R', 'host-reclaim': 'R', unseen: '' }, NEAR = 9, STRIPS = { gc: TOP + 9, reclaim: TOP + 27 }

function times_of(count, what) {
  return `${what} ${count === 1 ? 'once' : `${count} times`}`
}

// Marks with counts, of which many may be the same for whoever looks: full collections; reclaims.
function counted_text(data, mark) {
  const { count, more } = mark, name = data.processes[mark.process]?.name ?? 'a process'
  if (mark.event === 'gc') {
    return `${name}: ${count} full garbage collection${count === 1 ? '' : 's'}${more ? ` (and ${more} of younger generations)` : ''}`
  }
  if (mark.event === 'host-reclaim') return times_of(count, 'processes had to reclaim memory of the host')
  const parts = [...count ? [times_of(count, 'reached its limit')] : [], ...more ? [times_of(more, 'was above memory.high')] : []]
  return `${mark.group} ${parts.join(' and ')}: its memory was reclaimed`
}

// PSS as a dotted line, with gaps where it is unknown; null: it is unknown everywhere.
function pss_line(scale, pss) {
  const known = pss.map((bytes, i) => (bytes < 0 ? null : `${scale.x(i + 1).toFixed(1)} ${scale.y(bytes).toFixed(1)}`))
  // A single value is a line, too: that of its slice.
  const path = known.map((point, i) => (!point ? '' : known[i - 1] ? `L${point}` : `M${scale.x(i).toFixed(1)} ${point.split(' ')[1]}L${point}`))
  return path.some(part => part) ? svg('path', { class: 'pss', d: path.join('') }) : null
}

export function mark_text(data, times, mark) {
  const name = data.processes[mark.process]?.name ?? 'a process'
  if (mark.event === 'unseen') return data.processes[mark.process] ? `${name}: ${mark.text}` : mark.text
  if (COUNTED[mark.event]) return counted_text(data, mark)
  if (mark.event === 'begin') return `${name} began`
  if (mark.event === 'end') return `${name} ended`
  return `out of memory: a process of ${times.cgroups[mark.cgroup]?.name ?? 'a control group'} was killed`
}

function label(text) {
  const letters = [...text]
  return letters.length > 34 ? `${letters.slice(0, 33).join('')}…` : text
}

// Marks of one strip whose signs would touch are one sign: {x, marks, count}.
function merge(scale, marks) {
  const signs = []
  for (const mark of marks) {
    const x = scale.x_of_time(mark.time), last = signs.at(-1)
    if (last && x - last.x < 2 * NEAR + LETTER * (1 + String(last.count).length)) {
      last.marks.push(mark)
      last.count += mark.count + (mark.event === 'gc' ? 0 : mark.more)
    } else signs.push({ x, marks: [mark], count: mark.count + (mark.event === 'gc' ? 0 : mark.more) })
  }
  return signs
}

// What many marks of a sign say, one process or group after the other.
function sign_text(scale, data, { marks }) {
  const sums = new Map()
  for (const mark of marks) {
    const key = `${mark.event} ${mark.process} ${mark.group}`, sum = sums.get(key)
    if (sum) Object.assign(sum, { count: sum.count + mark.count, more: sum.more + mark.more })
    else sums.set(key, { ...mark })
  }
  const [from, to] = [marks[0].time, marks.at(-1).time].map(time => clock(time))
  const texts = [...sums.values()].map(mark => mark_text(data, scale.times, mark))
  return `${from === to ? from : `${from} – ${to}`} ${texts.slice(0, 20).join('; ')}${texts.length > 20 ? `; and ${texts.length - 20} more` : ''}`
}

// A circle with a G, a diamond with an R; beside it how many, if these are several.
function signs(scale, data, marks) {
  return ['gc', 'reclaim'].flatMap(kind => merge(scale, marks.filter(mark => COUNTED[mark.event] === COUNTED[kind]))
    .map(sign => {
      const { x, count } = sign, y = STRIPS[kind], shape = kind === 'gc' ? svg('circle', { cx: x, cy: y, r: 7 })
        : svg('path', { d: `M${x} ${y - 9}l9 9l-9 9l-9-9z` })
      return svg('g', { class: `sign ${kind}`, 'data-count': count }, svg('title', null, sign_text(scale, data, sign)), shape,
        svg('text', { class: 'letter', x, y: y + 4, 'text-anchor': 'middle' }, COUNTED[kind]),
        count > 1 ? svg('text', { class: 'many', x: x + NEAR + 1, y: y + 4 }, count) : null)
    }))
}

// Marks as lines, with texts where these have room.
function mark_lines(scale, data, marks) {
  const lanes = Array.from({ length: LANES }, () => []), parts = []
  const urgent = marks.filter(mark => COUNTED[mark.event] === undefined).sort((a, b) => (b.event === 'oom') - (a.event === 'oom')).slice(0, MARKS_MOST)
  for (const mark of urgent) {
    const x = scale.x_of_time(mark.time), full = mark_text(data, scale.times, mark), text = label(full)
    const size = text.length * LETTER + 14, left = x + size > LEFT + scale.width
    const from = left ? x - size : x, to = from + size
    const lane = lanes.findIndex(taken => from >= 4 && taken.every(([a, b]) => to < a || from > b))
    const line = svg('line', { class: `mark ${mark.event}`, x1: x, x2: x, y1: lane < 0 ? TOP - 4 : 6 + 16 * lane, y2: scale.bottom })
    line.append(svg('title', null, `${clock(mark.time)} ${full}`))
    parts.push(line)
    if (lane < 0) continue
    lanes[lane].push([from, to])
    parts.push(svg('text', { class: `mark-text ${mark.event}`, x: left ? x - 5 : x + 5, y: 15 + 16 * lane,
      'text-anchor': left ? 'end' : 'start' }, text))
  }
  return parts
}

// Draws into `element`; returns the scale. `levels`: by kind, of all slices; `pss`: of all slices, -1: unknown. `there`: of all borders, whether any
// of the processes was.
export function draw(element, { data, times, levels, pss, first, there, cgroup, marks, width }) {
  const areas = stack(levels, first), highest = Math.max(...areas.at(-1).above, ...pss)
  const gone = new Set(there.map((is, i) => (i && !is && there[i - 1] ? i : -1)))
  const limit = cgroup ? Math.max(...cgroup.limit) : -1
  const scale = new Scale(times, width, limit > 0 && limit <= 3 * highest ? Math.max(limit, highest) : highest)
  element.setAttribute('viewBox', `0 0 ${LEFT + scale.width + RIGHT} ${HEIGHT}`)
  element.replaceChildren(svg('defs', null, svg('pattern', { id: 'hatch', width: 6, height: 6, patternUnits: 'userSpaceOnUse',
    patternTransform: 'rotate(45)' }, svg('rect', { class: 'hatch', width: 2, height: 6 }))), ...axes(scale),
  ...areas.filter(area => area.some).map(area => svg('path', { class: `area ${area.kind}`, 'data-kind': area.kind,
    d: path_of(scale, area.above, area.below, gone) })), pss_line(scale, pss) ?? '', ...limit_line(scale, cgroup), ...mark_lines(scale, data, marks),
  ...signs(scale, data, marks),
  svg('g', { id: 'band' }))
  return { scale, kinds: areas.filter(area => area.some).map(area => area.kind),
    limit_above: limit > scale.most ? limit : 0 }
}

// Shades what is outside of the window; null: there is none.
export function draw_band(element, scale, window) {
  const band = element.querySelector('#band')
  if (!window) {
    band.replaceChildren()
    return
  }
  const from = scale.x(window.from), to = scale.x(window.to), height = scale.bottom - TOP
  band.replaceChildren(
    svg('rect', { class: 'outside', x: LEFT, y: TOP, width: Math.max(0, from - LEFT), height }),
    svg('rect', { class: 'outside', x: to, y: TOP, width: Math.max(0, LEFT + scale.width - to), height }),
    ...[from, to].flatMap(x => [svg('line', { class: 'edge', x1: x, x2: x, y1: TOP, y2: scale.bottom }),
      svg('rect', { class: 'grip', x: x - 3, y: TOP + height / 2 - 12, width: 6, height: 24, rx: 3 })]))
}
