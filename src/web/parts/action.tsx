/** A button that asks the server to do something, and says what came of it. */

import { useState } from 'preact/hooks'
import { apart } from '../apart.js'
import { ask } from '../api.js'

interface ActionProps {
  label: string
  path: string
  method?: 'POST' | 'PUT' | 'DELETE'
  body?: unknown
  /** Why it cannot be done; it is shown all the same. */
  not?: string | undefined
  kind?: 'main' | 'danger'
  /** What a screen reader says, where the label alone does not tell of what. */
  name?: string
  onDone?: (answer: unknown) => void
}

/** The button. A refusal is told beside it. */
export function Action({ label, path, method = 'POST', body, not, kind, name, onDone }: ActionProps) {
  const [state, setState] = useState<'ready' | 'asking'>('ready')
  const [refusal, setRefusal] = useState('')
  const act = async () => {
    setState('asking')
    setRefusal('')
    try {
      // Not inside of the call: where nobody waits for the answer, nothing would be asked.
      const answer = await ask(path, { method, body: body ?? {} })
      onDone?.(answer)
    } catch (error) {
      setRefusal((error as Error).message)
    }
    setState('ready')
  }
  return (
    <span class="action">
      <button
        type="button"
        class={kind}
        aria-label={name}
        aria-disabled={not !== undefined || state === 'asking'}
        title={not}
        onClick={() => not === undefined && state === 'ready' && apart(act())}
      >
        {label}
      </button>
      {refusal && (
        <span class="refused" role="alert">
          {refusal}
        </span>
      )}
    </span>
  )
}
