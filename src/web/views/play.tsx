/** Starts a job with variables of one's own: one that waits to be started, or one that is tried again. */
import { useState } from 'preact/hooks'
import { apart, fieldOf } from '../apart.js'
import { ask } from '../api.js'
import { variablesOf } from './run-pipeline.js'

/** The button, and then the form. */
export function PlayWith({ base, name, onDone }: { base: string; name: string; onDone: () => void }) {
  const [open, setOpen] = useState(false)
  const [refusal, setRefusal] = useState('')
  const play = async (form: FormData) => {
    setRefusal('')
    try {
      const body = { job_variables_attributes: variablesOf(fieldOf(form, 'variables')) }
      await ask(`${base}/play`, { method: 'POST', body })
      setOpen(false)
      onDone()
    } catch (error) {
      setRefusal((error as Error).message)
    }
  }
  return (
    <>
      <button
        type="button"
        aria-expanded={open}
        aria-label={`Play ${name} with variables`}
        onClick={() => setOpen(!open)}
      >
        With variables…
      </button>
      {open && (
        <form
          class="panel over"
          onSubmit={(event) => {
            event.preventDefault()
            apart(play(new FormData(event.currentTarget)))
          }}
        >
          <label>
            Variables, one a line: NAME=value
            <textarea name="variables" rows={3} class="code" />
          </label>
          {refusal && (
            <p class="refused" role="alert">
              {refusal}
            </p>
          )}
          <button type="submit" class="main">
            Play
          </button>
        </form>
      )}
    </>
  )
}
