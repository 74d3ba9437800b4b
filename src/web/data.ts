/** What views show of the server, kept up to date. */

import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { apart } from './apart.js'
import { ApiError, ask } from './api.js'
import { type Change, onChanges } from './live.js'

export interface Loaded<T> {
  data: T | undefined
  error: ApiError | undefined
  reload: () => void
}

/** At the most so often what is shown is asked for again. */
const quietMs = 250

/** The answer to a question, asked again after each change that `on` says counts; a path of undefined asks nothing. */
export function useData<T>(path: string | undefined, on?: (change: Change) => boolean): Loaded<T> {
  const [state, setState] = useState<{ path?: string; data?: T; error?: ApiError }>({})
  const reload = useRef<() => void>(() => undefined)
  const counts = useRef(on)
  counts.current = on
  const live = on !== undefined
  useEffect(() => {
    if (path === undefined) return
    const stop = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    let asking = false
    let again = false
    const load = async () => {
      if (asking) {
        again = true
        return
      }
      asking = true
      try {
        const data = await ask<T>(path, { signal: stop.signal })
        if (!stop.signal.aborted) setState({ path, data })
      } catch (error) {
        if (stop.signal.aborted) return
        const refusal = error instanceof ApiError ? error : new ApiError(0, String(error))
        // What was shown stays while the server is away: the connection's state says how old it is.
        setState((old) =>
          (refusal.status === 0 || refusal.status >= 500) && old.path === path
            ? { ...old, error: refusal }
            : { path, error: refusal },
        )
      } finally {
        asking = false
        if (again) soon()
        again = false
      }
    }
    const soon = () => {
      timer ??= setTimeout(() => {
        timer = undefined
        apart(load())
      }, quietMs)
    }
    reload.current = () => apart(load())
    const unlisten = live ? onChanges((change) => (!change || counts.current?.(change)) && soon()) : undefined
    apart(load())
    return () => {
      stop.abort()
      clearTimeout(timer)
      unlisten?.()
    }
  }, [path, live])
  const known = state.path === path
  return {
    data: known ? state.data : undefined,
    error: known ? state.error : undefined,
    reload: useCallback(() => reload.current(), []),
  }
}
