// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The boxes of the flame graph. Only those that can be seen become elements: what is narrower than a few pixels is
// drawn together with its neighbours as one box of "smaller" frames. Widths are shares, so paper and windows of
// any width show the same.
import { by_id, make } from './dom.js'
import { LIBRARY, OWN, PROCESS, place_text } from './data.js'
import { both_sides } from './compare_tables.js'
import { amount, percent, short } from './format.js'

const ROW = 21, TEXT_LEAST = 28, DIFFERENCE_LEAST = 110
// The narrowest box with a name of its own, in pixels; wider ones while there are more boxes than fit.
const WIDTH_LEAST = 2, BOXES_MOST = 3000

function hue(place) {
  let sum = 0
  for (const c of place.file) sum = (sum * 31 + c.charCodeAt(0)) % 9973
  return sum % 5
}

function colour(place) {
  if (!place) return 'all'
  if (place.kind === OWN) return `own${hue(place)}`
  if (place.kind === LIBRARY) return `lib${hue(place)}`
  return place.kind === PROCESS ? 'process' : place.name.startsWith('[') ? 'text' : 'process'
}

// The node's boxes, level by level: [{node, left, width}], in shares of the whole width; `node` null: smaller frames.
function lay_out(root, pixels) {
  for (let least = WIDTH_LEAST; ; least *= 2) {
    const boxes = lay_out_from(root, pixels, least)
    if (boxes) return boxes
  }
}

function lay_out_from(root, pixels, least) {
  const boxes = [], above = []
  for (let node = root.parent; node; node = node.parent) above.unshift(node)
  for (const node of above) boxes.push({ node, level: node.depth, left: 0, width: 1, above: true })
  let level = [{ node: root, level: root.depth, left: 0, width: 1 }]
  while (level.length) {
    boxes.push(...level)
    if (boxes.length > BOXES_MOST && least < 64) return null
    level = level.filter(box => box.node).flatMap(box => below(box, pixels, least))
  }
  return boxes
}

function below(box, pixels, least) {
  const boxes = [], { node } = box
  let left = box.left
  if (box.width * pixels < least) return boxes
  for (const kid of node.kids) {
    const width = box.width * kid.value / node.value
    // The widest come first: from here on all are narrower.
    if (width * pixels < least) break
    boxes.push({ node: kid, level: box.level + 1, left, width })
    left += width
  }
  const rest = node.kids.slice(boxes.length).reduce((sum, kid) => sum + kid.value, 0) * box.width / node.value
  if (rest * pixels >= 1) {
    boxes.push({ node: null, level: box.level + 1, left, width: rest, count: node.kids.length - boxes.length })
  }
  return boxes
}

export class Flame {
  // `chosen(node)`: a frame has the focus; `zoomed(node)`: it is to be shown alone.
  constructor(chosen, zoomed) {
    Object.assign(this, { chosen, zoomed, element: by_id('flame'), boxes: new Map() })
    this.element.addEventListener('click', event => {
      const node = this.node_at(event)
      if (node) zoomed(node)
    })
    this.element.addEventListener('focusin', event => this.on_focus(event))
    this.element.addEventListener('keydown', event => this.on_key(event))
    this.element.addEventListener('mouseover', event => this.on_hover(event))
    this.element.addEventListener('mouseleave', () => { by_id('hover').textContent = '' })
    new ResizeObserver(() => this.on_resize()).observe(this.element)
  }

  node_at(event) {
    return this.boxes.get(event.target.closest('[role=treeitem]'))
  }

  on_resize() {
    if (this.zoom && Math.abs(this.element.clientWidth - this.pixels) > 8) this.draw(this.zoom, this.found)
  }

  on_focus(event) {
    const node = this.node_at(event)
    if (!node) return
    this.current?.setAttribute('tabindex', '-1')
    this.current?.removeAttribute('aria-selected')
    this.current = event.target.closest('[role=treeitem]')
    this.current.setAttribute('tabindex', '0')
    this.current.setAttribute('aria-selected', 'true')
    this.chosen(node)
  }

  on_hover(event) {
    const node = this.node_at(event)
    by_id('hover').textContent = node ? this.describe(node) : event.target.dataset.rest ?? ''
  }

  describe(node) {
    const { metric, places, root } = node.view, place = places[node.place]
    return [node.title, place ? place_text(place) : '', amount(metric, node.amount), metric.compared ? both_sides(node) : '',
      percent(node.value, root.value)].filter(text => text).join(' · ')
  }

  on_key(event) {
    const node = this.node_at(event), moves = {
      ArrowDown: () => node.kids.find(kid => this.elements.has(kid)),
      ArrowUp: () => node.parent,
      ArrowLeft: () => this.beside(node, -1),
      ArrowRight: () => this.beside(node, 1),
      Home: () => node.view.root,
    }
    if (!node || event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key === 'Enter' || event.key === ' ') this.zoomed(node)
    else if (moves[event.key]) this.elements.get(moves[event.key]())?.focus()
    else return
    event.preventDefault()
  }

  beside(node, step) {
    const kids = node.parent?.kids ?? []
    return kids[kids.indexOf(node) + step]
  }

  // Shows what is below a node. `found`: numbers of places that a search has found; null: there is no search.
  draw(zoom, found) {
    const focused = this.element.contains(document.activeElement)
    Object.assign(this, { zoom, found, pixels: this.element.clientWidth || 1000 })
    const boxes = lay_out(zoom, this.pixels)
    this.boxes = new Map()
    this.elements = new Map()
    this.current = null
    this.element.style.height = `${ROW * (1 + Math.max(...boxes.map(box => box.level)))}px`
    this.element.replaceChildren(...boxes.map(box => this.box(box)))
    this.current = this.elements.get(zoom)
    this.current.setAttribute('tabindex', '0')
    if (focused) this.current.focus({ preventScroll: true })
    else this.chosen(zoom)
  }

  box(box) {
    const element = box.node ? this.frame(box) : this.rest(box)
    element.style.left = `${100 * box.left}%`
    element.style.width = `${100 * box.width}%`
    element.style.top = `${ROW * box.level}px`
    return element
  }

  frame({ node, width, above }) {
    const { metric, places } = node.view, place = places[node.place], wide = width * this.pixels
    const tone = metric.compared ? metric.tone(node.amount) : colour(place)
    const element = make('div', {
      className: `f ${tone}${above ? ' above' : ''}`, tabIndex: -1, role: 'treeitem',
      'aria-level': node.depth + 1, 'aria-label': this.describe(node) })
    if (this.found && place) element.classList.add(this.found[node.place] ? 'hit' : 'miss')
    if (wide >= TEXT_LEAST) element.append(...this.texts(node, place, wide))
    this.boxes.set(element, node)
    this.elements.set(node, element)
    return element
  }

  texts(node, place, wide) {
    const texts = [make(place?.kind === LIBRARY ? 'em' : 'b', null, node.title)]
    if (place?.kind <= LIBRARY && wide > 120) {
      texts.push(make('span', { className: 'where' }, `${short(place.file) || '(no file name)'}:${place.line || '?'}`))
    }
    if (node.view.metric.compared) texts.unshift(this.difference(node, wide))
    else if (wide > 260) texts.push(make('span', { className: 'amount' }, amount(node.view.metric, node.amount)))
    return texts
  }

  // Which way, in front of the name: no colour tells it alone.
  difference(node, wide) {
    const text = amount(node.view.metric, node.amount)
    return make('span', { className: 'difference' }, `${wide >= DIFFERENCE_LEAST ? text : /^[+−]/.exec(text)?.[0] ?? '='} `)
  }

  rest({ count }) {
    const element = make('div', { className: 'f rest', 'aria-hidden': 'true' })
    element.dataset.rest = `${count} smaller frame${count === 1 ? '' : 's'}: zoom in to see them`
    return element
  }
}
