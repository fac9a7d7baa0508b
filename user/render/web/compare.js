// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The figures of a diff: each metric has two sides, A and B. What a frame stands for is the difference, B − A, with its
// sign; how wide it is can be chosen, since what has vanished has no width in B, and what is new has none in A.
//
// Widths are made of whole stacks: a frame is as wide as the stacks below it, so callees fit into their callers.
import { Metric } from './data.js'

export const SIDES = ['a', 'b']
export const WIDTHS = [
  ['larger', 'larger', 'The larger of both sides, stack by stack: what is new and what has vanished are both there'],
  ['after', 'after', 'What B has: what has vanished is not there'],
  ['before', 'before', 'What A has: what is new is not there'],
  ['difference', 'difference', 'How much differs, whatever the direction: what is the same in both is not there'],
]
const WEIGHTS = {
  larger: (a, b) => Math.max(Math.abs(a), Math.abs(b)),
  after: (a, b) => Math.abs(b),
  before: (a, b) => Math.abs(a),
  difference: (a, b) => Math.abs(b - a),
}
// Shares of the largest sum of one direction, from which on a frame has the next stronger colour.
const LEVELS = [0.01, 0.05, 0.2, 0.5]

function prefix_sums(amounts) {
  const sums = new Float64Array(amounts.length + 1)
  for (let i = 0; i < amounts.length; i++) sums[i + 1] = sums[i] + amounts[i]
  return sums
}

// Both sides' rows as one list: {at, a, b, amounts}, by frame. `scale`: what an amount of each side is multiplied by.
function join(sides, scale) {
  const [one, other] = sides, most = one.at.length + other.at.length
  const at = new Int32Array(most), a = new Float64Array(most), b = new Float64Array(most)
  let i = 0, j = 0, n = 0
  for (; i < one.at.length || j < other.at.length; n++) {
    at[n] = Math.min(i < one.at.length ? one.at[i] : Infinity, j < other.at.length ? other.at[j] : Infinity)
    while (i < one.at.length && one.at[i] === at[n]) a[n] += one.amounts[i++]
    while (j < other.at.length && other.at[j] === at[n]) b[n] += other.amounts[j++]
  }
  const rows = { at: at.subarray(0, n), a: a.subarray(0, n).map(x => x * scale[0]), b: b.subarray(0, n).map(x => x * scale[1]) }
  return { ...rows, amounts: rows.b.map((x, k) => x - rows.a[k]) }
}

export class Compared extends Metric {
  // `sides`: {total, at, amounts} of A and of B. `per`: "/min" if amounts are per unit of time.
  constructor(name, known, sides, scale, per) {
    super(name, known, 0, join(sides, scale))
    this.compared = true
    this.signed = true
    this.per = per
    this.sums = { net: prefix_sums(this.amounts), a: prefix_sums(this.a), b: prefix_sums(this.b) }
    this.right = sides.every(side => side.amounts.reduce((sum, amount) => sum + amount, 0) === side.total)
    this.most = Math.max(this.up.at(-1), this.down.at(-1))
    this.totals = sides.map(side => side.total)
  }

  with_width(width) {
    const weigh = WEIGHTS[width], weights = this.a.map((a, i) => weigh(a, this.b[i])), widths = prefix_sums(weights)
    return Object.assign(Object.create(this), { width, weights, widths, whole: widths.at(-1) })
  }

  sum(from, to, below) {
    if (below) return 0
    const [first, last] = this.range(from, to)
    return this.widths[last] - this.widths[first]
  }

  // What the frames from `from` to before `to` have: "net" is the difference, "a" and "b" the sides.
  added(from, to, part = 'net') {
    const [first, last] = this.range(from, to), sums = this.sums[part]
    return sums[last] - sums[first]
  }

  row(i, part = 'net') {
    return part === 'net' ? this.amounts[i] : this[part][i]
  }

  weight(i) {
    return this.weights[i]
  }

  is_below() {
    return false
  }

  adds_up() {
    return this.right
  }

  // The metric of an amount that is of one side, and no difference.
  get plain() {
    return { unit: this.unit, per: this.per, signed: false }
  }

  // "more3", "less1", "same": which way, and how strong.
  tone(amount) {
    if (!Math.round(amount)) return 'same'
    const share = this.most ? Math.abs(amount) / this.most : 0
    return `${amount > 0 ? 'more' : 'less'}${1 + LEVELS.filter(least => share >= least).length}`
  }
}

// Bytes of each side become bytes per unit of time, if rates are compared.
export function scales(data) {
  return SIDES.map(side => data.rate_seconds ? data.rate_seconds / data[side].seconds : 1)
}

export function per(data) {
  return data.rate_unit ? `/${data.rate_unit}` : ''
}

// Where a place is in A, if that is not where it is shown; "" if it is the same.
export function place_before(place) {
  if (place.sides === 1) return 'Only in A.'
  if (place.sides === 2) return 'Only in B.'
  const { file, line, name } = place.before ?? place
  const parts = [name !== place.name && name, file !== place.file && file, line !== place.line && `line ${line || '?'}`].filter(part => part)
  return parts.length ? `In A: ${parts.join(', ')}.` : ''
}
