/** Small parts that many views use. */

import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { apart } from '../apart.js'
import type { ApiError } from '../api.js'
import { ago, at, duration, now } from '../time.js'

/** When it was: how long ago, and on hover exactly, here and in UTC. */
export function When({ time, absent = '–' }: { time: string | number | null | undefined; absent?: string }) {
  const ms = at(time)
  if (ms === undefined) return <span class="dim">{absent}</span>
  const date = new Date(ms)
  return (
    <time dateTime={date.toISOString()} title={`${date.toLocaleString()} · ${date.toISOString()}`}>
      {ago(ms, now.value)}
    </time>
  )
}

/** From `from` to `to`, or still counting. */
export function Took({
  from,
  to,
}: {
  from: string | number | null | undefined
  to: string | number | null | undefined
}) {
  const [start, end] = [at(from), at(to)]
  if (start === undefined) return <span class="dim">–</span>
  return <span class="figure">{duration((end ?? Math.max(now.value, start)) - start)}</span>
}

/** A command to paste, with a button that copies it. */
export function Command({ children }: { children: string }) {
  const [copied, setCopied] = useState(false)
  const copy = async () => {
    await navigator.clipboard.writeText(children)
    setCopied(true)
    setTimeout(() => setCopied(false), 2000)
  }
  return (
    <div class="command">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keyboards must be able to. */}
      <pre tabIndex={0}>{children}</pre>
      {navigator.clipboard && (
        <button type="button" onClick={() => apart(copy())}>
          {copied ? 'Copied' : 'Copy'}
        </button>
      )}
    </div>
  )
}

/** What to do where there is nothing yet. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  )
}

/** That something was refused, in the server's words. */
export function Refused({ error }: { error: ApiError | undefined }) {
  if (!error || error.status === 0) return null
  return (
    <p class="refused" role="alert">
      {error.status === 404 ? 'It is not there, or not for you to see.' : error.message}
    </p>
  )
}

/** Until the first answer is there. */
export function Loading() {
  return <p class="dim loading">Loading…</p>
}

/** A table that scrolls by itself where the window is narrow; the caption is for screen readers. */
export function Table({
  caption,
  columns,
  children,
}: {
  caption: string
  columns: readonly string[]
  children: ComponentChildren
}) {
  return (
    <div class="scroll">
      <table class="list">
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>
            {columns.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  )
}
