/** A list too long for a browser: its height has a limit, and places of the scroll bar stand for more than they measure. */

/** In pixels, as the stylesheet has it. */
export const lineHeight = 20
/** Browsers take elements of this height: Firefox gives up at 17.8 million pixels. */
const tallest = 8_000_000

export interface Window {
  /** First row, and the one behind the last. */
  from: number
  to: number
  /** The height of the whole, in pixels. */
  height: number
  /** Where the first row stands in it. */
  top: number
}

const beyond = 15

/** The rows to show of `count` at this place of the scroll bar. */
export function windowAt(scrollTop: number, viewHeight: number, count: number): Window {
  const height = Math.min(tallest, count * lineHeight)
  const fits = Math.ceil(viewHeight / lineHeight)
  const first = rowAt(scrollTop, viewHeight, count)
  const from = Math.max(0, Math.floor(first) - beyond)
  const to = Math.min(count, Math.floor(first) + fits + beyond)
  return { from, to, height, top: scrollTop - (first - from) * lineHeight }
}

function rowAt(scrollTop: number, viewHeight: number, count: number): number {
  const height = Math.min(tallest, count * lineHeight)
  const [way, rows] = [height - viewHeight, count - viewHeight / lineHeight]
  return way <= 0 || rows <= 0 ? 0 : Math.max(0, Math.min(1, scrollTop / way)) * rows
}

/** The place of the scroll bar that shows a row in the upper third. */
export function scrollTopOf(row: number, viewHeight: number, count: number): number {
  const height = Math.min(tallest, count * lineHeight)
  const [way, rows] = [height - viewHeight, count - viewHeight / lineHeight]
  if (way <= 0 || rows <= 0) return 0
  return Math.max(0, Math.min(1, (row - viewHeight / lineHeight / 3) / rows)) * way
}
