// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The lines of a diff for the table of lines (tables.js): of each figure what A has, what B has, and the difference.
import { SIDES, per, place_before, scales } from './compare.js'
import { place_text } from './data.js'

const NAMES = ['increment_bytes', 'grown_bytes', 'freed_bytes', 'copied_bytes', 'faults', 'resident_bytes']
const LABELS = { increment_bytes: 'Grew by', grown_bytes: 'Grown', freed_bytes: 'Freed', copied_bytes: 'Copied', faults: 'Faults',
  resident_bytes: 'Kept' }

// Columns that are shown at first.
export const COMPARED_FIRST = {
  difference_increment_bytes: ['Difference', 'Net change of RSS while the line ran: B − A'],
  a_increment_bytes: ['A grew by', 'The same in A'],
  b_increment_bytes: ['B grew by', 'The same in B'],
  ...Object.fromEntries(NAMES.slice(1).map(name => [`difference_${name}`, [`${LABELS[name]}, B − A`, '']])),
}

export class ComparedLines {
  constructor(data) {
    const scale = scales(data)
    Object.assign(this, { data, place: data.lines.place, process: data.lines.process, main: 'difference_increment_bytes' })
    this.length = this.place.length
    this.per = per(data)
    this.lists = {}
    for (const name of NAMES.filter(known => data.lines[`a_${known}`])) {
      const [a, b] = SIDES.map((side, i) => data.lines[`${side}_${name}`].map(value => value === null ? null
        : name === 'resident_bytes' ? value : value * scale[i]))
      this.lists[`difference_${name}`] = a.map((value, i) => value === null || b[i] === null ? null : b[i] - value)
      Object.assign(this.lists, { [`a_${name}`]: a, [`b_${name}`]: b })
    }
    this.columns = Object.keys(this.lists)
  }

  label(name) {
    if (COMPARED_FIRST[name]) return COMPARED_FIRST[name][0]
    const [, side, figure] = /^([ab])_(.*)$/.exec(name)
    return `${LABELS[figure]}, ${side.toUpperCase()}`
  }

  metric(name) {
    return { unit: name.endsWith('_bytes') ? 'bytes' : '', signed: /^difference|increment/.test(name),
      per: name.endsWith('resident_bytes') ? '' : this.per }
  }

  value(name, row) {
    return this.lists[name][row]
  }

  text(row) {
    const place = this.data.places[this.place[row]]
    return `${place.name} ${place_text(place)} ${this.data.processes[this.process[row]].name}`.toLowerCase()
  }

  // What is said behind a place.
  remark(row) {
    return place_before(this.data.places[this.place[row]])
  }

  // What no line has.
  get lost() {
    const { data } = this, [a, b] = SIDES.map((side, i) => scales(data)[i] *
      (data[side].change_bytes - data.lines[`${side}_increment_bytes`].reduce((sum, bytes) => sum + bytes, 0)))
    return b - a
  }
}
