// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Amounts as texts, in the words of the reports in text.

const MIB = 1024 * 1024

// "12.3 MiB", "36 KiB" (below 0.1 MiB), "-7.4 MiB"; with `sign` a plus before what is above zero.
export function size(bytes, sign = false) {
  const magnitude = Math.abs(bytes), lead = bytes < 0 ? '−' : sign && bytes ? '+' : ''
  if (magnitude && magnitude < 1024) return `${lead}${magnitude} B`
  if (magnitude && magnitude <= MIB / 10) return `${lead}${Math.round(magnitude / 1024)} KiB`
  return `${lead}${(magnitude / MIB).toFixed(1)} MiB`
}

export function count(number) {
  return (number < 0 ? '−' : '') + String(Math.abs(number)).replace(/\B(?=(\d{3})+$)/g, ' ')
}

// "3.41 ms", "120 ms", "3.4 s".
export function time(ns) {
  const ms = ns / 1e6
  if (ms < 999.5) return `${ms.toFixed(ns && ms < 9.995 ? 2 : 0)} ms`
  return `${(ms / 1000).toFixed(1)} s`
}

// An amount of a metric, short and in full. Those per unit of time are no whole numbers.
export function amount(metric, value) {
  if (metric.unit === 'ns') return time(value)
  const whole = Math.round(value), lead = metric.signed && metric.unit !== 'bytes' && whole > 0 ? '+' : ''
  return (metric.unit === 'bytes' ? size(whole, metric.signed) : lead + count(whole)) + (metric.per ?? '')
}

export function exact(metric, value) {
  if (metric.unit === 'ns') return `${count(value)} ns`
  const [one, many] = metric.unit === 'bytes' ? ['byte', 'bytes'] : metric.unit === 'count' ? ['fault', 'faults'] : ['', '']
  const whole = Math.round(value)
  return `${count(whole)} ${whole === 1 ? one : many}${metric.per ?? ''}`.trim()
}

export function percent(part, whole) {
  if (!whole) return '0 %'
  const share = 100 * part / whole
  return share > 0 && share < 0.1 ? '<0.1 %' : `${share.toFixed(1)} %`
}

// The end of a path that fits a reader's eye: what is behind the folder that all libraries share, or two parts.
export function short(file) {
  const library = /\/(?:site-packages|dist-packages|python3\.\d+)\/(.+)$/.exec(file)
  if (library) return library[1]
  return file.split('/').slice(-2).join('/')
}
