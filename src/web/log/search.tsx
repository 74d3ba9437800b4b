/** Searching a whole log, on the server: also where it is folded, and however long it is. */
import { useEffect, useState } from 'preact/hooks'
import { ask, own } from '../api.js'

export interface Found {
  total: number
  matches: { line: number; text: string }[]
}

interface Props {
  jobId: number
  text: string
  onText: (text: string) => void
  onFound: (found: Found | undefined) => void
  at: number
  found: Found | undefined
  onStep: (by: 1 | -1) => void
}

/** The box, with what was found and the way through it. */
export function LogSearch({ jobId, text, onText, onFound, at, found, onStep }: Props) {
  const [refusal, setRefusal] = useState('')
  useEffect(() => {
    setRefusal('')
    if (text === '') {
      onFound(undefined)
      return
    }
    const stop = new AbortController()
    const timer = setTimeout(() => {
      ask<Found>(`${own}/jobs/${jobId}/log/search?q=${encodeURIComponent(text)}`, { signal: stop.signal }).then(
        onFound,
        (error) => {
          if (!stop.signal.aborted) setRefusal(error.message)
        },
      )
    }, 150)
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [text, jobId])
  return (
    <search class="row">
      <input
        type="search"
        aria-label="Search the whole log"
        placeholder="Search the whole log"
        value={text}
        onInput={(event) => onText(event.currentTarget.value)}
        onKeyDown={(event) => event.key === 'Enter' && onStep(event.shiftKey ? -1 : 1)}
      />
      <output class="figure">
        {refusal || (found ? (found.total === 0 ? 'nothing' : `${at + 1} of ${found.total.toLocaleString()}`) : '')}
      </output>
      {found && found.matches.length > 0 && (
        <>
          <button type="button" aria-label="Previous match" onClick={() => onStep(-1)}>
            ↑
          </button>
          <button type="button" aria-label="Next match" onClick={() => onStep(1)}>
            ↓
          </button>
        </>
      )}
    </search>
  )
}
