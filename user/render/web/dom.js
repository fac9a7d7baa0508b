// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Elements. Texts become text nodes: nothing in a report is ever taken for HTML.

export function by_id(id) {
  return document.getElementById(id)
}

// An element with properties (`aria-*`, `role` and `data-*` as attributes), and texts or elements in it.
export function make(name, properties, ...inside) {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (/^(aria-|data-|role$|scope$|for$|colspan$)/.test(key)) element.setAttribute(key, value)
    else element[key] = value
  }
  element.append(...inside.filter(part => part !== null && part !== undefined))
  return element
}
