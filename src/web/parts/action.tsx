/** A button that asks the server to do something, and says what came of it. */

import { useState } from 'preact/hooks'
import { apart } from '../apart.js'
import { ask } from '../api.js'

interface ActionProps {
  label: string
  path: string
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  body?: unknown
  /** Why it cannot be done; it is shown all the same. */
  not?: string | undefined
  kind?: 'main' | 'danger'
  /** What a screen reader says, where the label alone does not tell of what. */
  name?: string
  /** It cannot be taken back: a second press is wanted. */
  sure?: boolean
  onDone?: (answer: unknown) => void
}

/** How long the second press is waited for. */
const sureMs = 5000

/** The button. A refusal is told beside it. */
export function Action({ label, path, method = 'POST', body, not, kind, name, sure, onDone }: ActionProps) {
  const [state, setState] = useState<'ready' | 'doubting' | 'asking'>('ready')
  const [refusal, setRefusal] = useState('')
  const press = () => {
    if (not !== undefined || state === 'asking') return
    if (!sure || state === 'doubting') {
      apart(act())
      return
    }
    setState('doubting')
    setTimeout(() => setState((now) => (now === 'doubting' ? 'ready' : now)), sureMs)
  }
  const act = async () => {
    setState('asking')
    setRefusal('')
    try {
      // Not inside of the call: where nobody waits for the answer, nothing would be asked.
      const answer = await ask(path, method === 'GET' ? {} : { method, body: body ?? {} })
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
        aria-label={name && state === 'doubting' ? `Really: ${name}` : name}
        aria-disabled={not !== undefined || state === 'asking'}
        title={not}
        onClick={press}
      >
        {state === 'doubting' ? `Really ${label.toLowerCase()}?` : label}
      </button>
      {refusal && (
        <span class="refused" role="alert">
          {refusal}
        </span>
      )}
    </span>
  )
}
