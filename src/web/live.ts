/** Server-sent events, read with `fetch` so that a token can be sent; a stream that breaks is opened again by itself. */

import { signal } from '@preact/signals'
import { apart } from './apart.js'
import { ApiError, own, send } from './api.js'

/** What the page knows of its connection; `at`: when the server was last heard, in milliseconds since 1970. */
export const connection = signal<{ state: 'idle' | 'live' | 'broken'; at: number }>({ state: 'idle', at: Date.now() })

const heard = () => {
  connection.value = { state: 'live', at: Date.now() }
}
const lost = () => {
  if (connection.value.state !== 'broken') connection.value = { ...connection.value, state: 'broken' }
}

const shortestMs = 300
const longestMs = 5000
/** The server says something every 15 s: after more silence than this the connection is dead. */
const silentMs = 40_000

export interface Following {
  onEvent: (name: string, data: string) => void
  /** Each time that the stream is open again: what has been missed is to be looked at. */
  onOpen?: () => void
  /** The server has refused, for good. */
  onRefused?: (error: ApiError) => void
}

/** Follows a stream until the returned function is called, the server has ended it, or it refuses. */
export function follow(path: string, { onEvent, onOpen, onRefused }: Following): () => void {
  const stop = new AbortController()
  let waitMs = shortestMs
  const run = async () => {
    while (!stop.signal.aborted) {
      try {
        const response = await send(path, { signal: stop.signal })
        heard()
        waitMs = shortestMs
        onOpen?.()
        if (await readEvents(response, onEvent)) return
      } catch (error) {
        if (stop.signal.aborted) return
        if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429) {
          onRefused?.(error)
          if (error.status !== 401) return
        }
      }
      lost()
      await pause(waitMs * (0.5 + Math.random()), stop.signal)
      waitMs = Math.min(longestMs, waitMs * 2)
    }
  }
  apart(run())
  return () => stop.abort()
}

/** Returns whether the server has said that there is no more. */
async function readEvents(response: Response, onEvent: Following['onEvent']): Promise<boolean> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { done, value } = await withinSilence(reader)
    if (done) return false
    heard()
    const blocks = (rest + value).split('\n\n')
    rest = blocks.pop()!
    for (const block of blocks) {
      const event = eventOf(block)
      if (!event) continue
      onEvent(event.name, event.data)
      if (event.name === 'end') return true
    }
  }
}

async function withinSilence(reader: ReadableStreamDefaultReader<string>) {
  let timer: ReturnType<typeof setTimeout> | undefined
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('silence')), silentMs)
  })
  try {
    return await Promise.race([reader.read(), silence])
  } catch (error) {
    reader.cancel().catch(() => undefined)
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/** An event of the stream's text; undefined for a comment. */
export function eventOf(block: string): { name: string; data: string } | undefined {
  let name = 'message'
  const data: string[] = []
  for (const line of block.split('\n')) {
    if (line.startsWith('event: ')) name = line.slice(7)
    else if (line.startsWith('data: ')) data.push(line.slice(6))
  }
  return data.length === 0 ? undefined : { name, data: data.join('\n') }
}

/** Waits, unless it is stopped. */
export function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    stop.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}

/** A committed fact, as far as it tells what to look at again. */
export interface Change {
  kind: string
  project_id: number | null
  pipeline_id: number | null
  job_id: number | null
  runner_id: number | null
}

type Listener = (change: Change | undefined) => void
const listeners = new Set<Listener>()
let stopFeed: (() => void) | undefined

/** Calls `listener` for each change on the server, and with undefined when some may have been missed. */
export function onChanges(listener: Listener): () => void {
  listeners.add(listener)
  stopFeed ??= follow(`${own}/events`, {
    onOpen: () => tell(undefined),
    onEvent: (name, data) => tell(name === 'change' ? (JSON.parse(data) as Change) : undefined),
  })
  return () => {
    listeners.delete(listener)
    if (listeners.size > 0) return
    stopFeed?.()
    stopFeed = undefined
  }
}

function tell(change: Change | undefined): void {
  for (const listener of listeners) listener(change)
}
