// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the flame graph shows: the tree of calls from its outermost frames, or from the innermost ones, split by
// process, by thread, by container or not at all.
//
// If threads are told, a process's stacks are below its threads. Only the split by thread shows these.
//
// A report has a million frames, and a screen a few thousand boxes. So a node's callees are put together when
// they are asked for, which is for nodes that are wide enough to be seen.
import { PLACE, PROCESS, TEXT, THREAD } from './data.js'

export const BELOW = '[freed on balance]'

class Node {
  constructor(view, parent, place, frames, below) {
    Object.assign(this, { view, parent, place, frames, below })
    this.depth = parent ? parent.depth + 1 : 0
    this.value = 0
  }

  get title() {
    return this.view.places[this.place]?.name ?? 'all'
  }

  // What the node stands for; with its sign if both directions are below it.
  get amount() {
    return this.view.amount_of(this)
  }

  get kids() {
    this.known ??= this.view.expand(this).filter(node => node.value > 0).sort((a, b) => b.value - a.value)
    return this.known
  }

  // The places from the outermost node on: the same in each view of this file with the same settings.
  get path() {
    return this.parent ? [...this.parent.path, this.place] : []
  }
}

export class View {
  // `width`: of a diff, what makes a frame wide.
  constructor(data, { metric, direction, group, width }) {
    const found = data.metrics.find(m => m.name === metric)
    this.data = data
    this.tree = data.tree
    this.metric = found.compared ? found.with_width(width) : found
    this.inverted = direction === 'inner'
    this.group = group
    this.places = data.places.slice()
    this.pseudo = new Map()
    this.root = new Node(this, null, -1, null, false)
    this.root.value = this.metric.whole
  }

  // The number of a place that is not in the report.
  place_of(name, kind) {
    if (!this.pseudo.has(name)) {
      this.pseudo.set(name, this.places.length)
      this.places.push({ kind, file: '', line: 0, name })
    }
    return this.pseudo.get(name)
  }

  where(root) {
    const process = this.places[this.tree.place[root]].process
    if (!process) return 'ended processes'
    return process.container ? process.where : 'in no container'
  }

  is_thread(frame) {
    return this.places[this.tree.place[frame]].kind === THREAD
  }

  // The threads of a process, and a frame for each other stack: what belongs to no thread that is known.
  threads(root, add) {
    const { end, place } = this.tree
    for (let frame = root + 1; frame < end[root]; frame = end[frame]) {
      add(this.is_thread(frame) ? place[frame] : this.place_of('no thread known', PLACE), frame)
    }
  }

  // The first level: sets of processes, or of threads.
  groups() {
    const { roots, place } = this.tree, sets = new Map()
    const add = (key, frame) => sets.has(key) ? sets.get(key).push(frame) : sets.set(key, [frame])
    for (const root of roots) {
      if (this.group === 'thread') this.threads(root, add)
      else add(this.group === 'process' ? place[root] : this.place_of(this.where(root), PLACE), root)
    }
    return [...sets]
  }

  expand(node) {
    if (node === this.root) {
      if (this.group === 'merged') return this.expand_group(node, this.tree.roots)
      return this.groups().map(([place, roots]) => this.with_value(
        Object.assign(new Node(this, node, place, roots, false), { group: true })))
    }
    if (node.group) return this.expand_group(node, node.frames)
    return this.inverted ? this.by_caller(node) : this.by_callee(node, node.frames)
  }

  // What is below a set of processes. What freed more than it added is below a frame of its own.
  expand_group(node, roots) {
    const kids = this.level(node, roots)
    const below = Object.assign(
      new Node(this, node, this.place_of(BELOW, TEXT), roots, true), { is_below: true, group: true })
    return node.is_below ? kids : [...kids, this.with_value(below)]
  }

  level(node, roots) {
    return this.inverted ? this.innermost(node, roots) : this.by_callee(node, roots)
  }

  with_value(node) {
    const { end } = this.tree
    for (const frame of node.frames) {
      node.value += this.metric.sum(frame, end[frame], node.below)
      if (node.group && !node.below) node.value += this.metric.sum(frame, end[frame], true)
    }
    return node
  }

  // Calls add(callee) for each frame that the frame called; those of its threads, if it is a process.
  each_callee(frame, add) {
    const { end } = this.tree
    for (let callee = frame + 1; callee < end[frame]; callee = end[callee]) {
      if (this.is_thread(callee)) this.each_callee(callee, add)
      else add(callee)
    }
  }

  // A frame of the first level that is no process and no thread stands for itself.
  stands_for_itself(node, frame) {
    return node.group && this.tree.parent[frame] >= 0 && !this.is_thread(frame)
  }

  by_callee(node, frames) {
    const { place } = this.tree, found = new Map()
    const add = callee => {
      const known = found.get(place[callee])
      if (known) known.push(callee)
      else found.set(place[callee], [callee])
    }
    for (const frame of frames) {
      if (this.stands_for_itself(node, frame)) add(frame)
      else this.each_callee(frame, add)
    }
    return [...found].map(([at, list]) => this.with_value(new Node(this, node, at, list, node.below)))
  }

  // Nodes for the innermost frames of stacks. `rows` are indices of amounts, `frames` the frames that are there now.
  innermost(node, roots) {
    const { at } = this.metric, rows = [], frames = []
    for (const root of roots) {
      const [first, last] = this.metric.range(root, this.tree.end[root])
      for (let i = first; i < last; i++) {
        if (this.metric.is_below(i) !== node.below) continue
        rows.push(i)
        frames.push(at[i])
      }
    }
    return this.by_place(node, rows, frames)
  }

  by_caller(node) {
    const rows = [], frames = [], { parent } = this.tree
    for (let i = 0; i < node.rows.length; i++) {
      const caller = parent[node.frames[i]]
      // The process, or its thread, is above all of them.
      if (caller < 0 || parent[caller] < 0 || this.is_thread(caller)) continue
      rows.push(node.rows[i])
      frames.push(caller)
    }
    return this.by_place(node, rows, frames)
  }

  by_place(node, rows, frames) {
    const found = new Map()
    for (let i = 0; i < rows.length; i++) {
      const place = this.tree.place[frames[i]]
      let kid = found.get(place)
      if (!kid) {
        kid = new Node(this, node, place, [], node.below)
        kid.rows = []
        found.set(place, kid)
      }
      kid.rows.push(rows[i])
      kid.frames.push(frames[i])
      kid.value += this.metric.weight(rows[i])
    }
    return [...found.values()]
  }

  // The node of a path, as far as there is one.
  find(path) {
    let node = this.root
    for (const place of path) {
      const kid = node.kids.find(k => k.place === place)
      if (!kid) break
      node = kid
    }
    return node
  }

  // The amount that the node's box stands for.
  amount_of(node) {
    if (this.metric.compared || node === this.root || (node.group && !node.below)) return this.figure(node, this.metric)
    return node.below ? -node.value : node.value
  }

  // What the frames of the node have of a metric, with what they called. `part`: of a diff, "a" or "b"; else the
  // difference.
  figure(node, metric, part) {
    if (node === this.root) return metric.added(0, this.tree.count, part)
    if (node.rows && metric.compared && metric.name === this.metric.name) {
      return node.rows.reduce((sum, i) => sum + metric.row(i, part), 0)
    }
    if (node.rows) return this.figure_of_rows(node, metric, part)
    return this.add_up(node.frames, metric, frame => this.tree.end[frame], part)
  }

  // The same, without what they called; null where that has no meaning.
  own(node, metric, part) {
    if (node === this.root || node.group || node.rows) return null
    return this.add_up(node.frames, metric, frame => frame + 1, part)
  }

  add_up(frames, metric, end_of, part) {
    let sum = 0
    for (const frame of frames) sum += metric.added(frame, end_of(frame), part)
    return sum
  }

  // Of innermost frames with callers: what the stacks have that end in the same way.
  figure_of_rows(node, metric, part) {
    const places = node.path.filter(place => this.places[place].name !== BELOW)
    const top = this.group === 'merged' ? this.tree.roots : this.find(places.slice(0, 1)).frames
    const wanted = this.group === 'merged' ? places : places.slice(1)
    const { parent, place, end } = this.tree
    let sum = 0
    for (const root of top) {
      const [first, last] = metric.range(root, end[root])
      for (let i = first; i < last; i++) {
        let frame = metric.at[i]
        if (wanted.every(at => {
          const same = frame >= 0 && place[frame] === at
          frame = same ? parent[frame] : -1
          return same
        })) sum += metric.row(i, part)
      }
    }
    return sum
  }
}

// Which places a search finds, and how much of the metric is in stacks that have one of them.
export function search(data, metric, text) {
  const { tree } = data, wanted = text.toLowerCase()
  const places = data.places.map(p => p.kind === PROCESS || p.kind === TEXT || p.kind === THREAD
    ? p.name.toLowerCase().includes(wanted)
    : `${p.name} ${p.file}:${p.line}`.toLowerCase().includes(wanted))
  const inside = new Uint8Array(tree.count)
  for (let i = 0; i < tree.count; i++) {
    inside[i] = places[tree.place[i]] || (tree.parent[i] >= 0 && inside[tree.parent[i]]) ? 1 : 0
  }
  let found = 0, amount = 0
  for (let i = 0; i < metric.at.length; i++) {
    if (!inside[metric.at[i]]) continue
    found += metric.weight(i)
    amount += metric.amounts[i]
  }
  return { places, found, amount }
}
