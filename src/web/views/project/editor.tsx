/** The configuration in an editor: what is wrong with it stands beside the line, and what it would make below. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { apart } from '../../apart.js'
import { ask, send } from '../../api.js'
import { Table } from '../../parts/bits.js'
import type { Row } from '../../parts/listing.js'

interface Linted {
  valid: boolean
  errors: string[]
  warnings: string[]
  jobs?: Row[]
  merged_yaml: string | null
}

/** How long nobody types before the text is checked. */
const quietMs = 400

/** The line that a sentence of the linter names; undefined: none. */
export const lineOf = (sentence: string): number | undefined => {
  const [, line] = /\bline (\d+)/.exec(sentence) ?? []
  return line === undefined ? undefined : Number(line)
}

/** The editor. Nothing is saved: a push does that. */
export function Editor({ base, branch }: { base: string; branch: string }) {
  const [text, setText] = useState<string>()
  const [linted, setLinted] = useState<Linted>()
  const [refusal, setRefusal] = useState('')
  const area = useRef<HTMLTextAreaElement>(null)
  useEffect(() => {
    const at = `${base}/repository/files/${encodeURIComponent('.gitlab-ci.yml')}/raw?ref=${encodeURIComponent(branch)}`
    apart(
      send(at).then(
        async (answer) => setText(await answer.text()),
        () => setText('build:\n  script:\n    - echo building\n'),
      ),
    )
  }, [base, branch])
  useEffect(() => {
    if (text === undefined) return
    const stop = new AbortController()
    const check = async () => {
      try {
        const body = { content: text, dry_run: true, include_jobs: true }
        setLinted(await ask<Linted>(`${base}/ci/lint`, { method: 'POST', body, signal: stop.signal }))
        setRefusal('')
      } catch (error) {
        if (!stop.signal.aborted) setRefusal((error as Error).message)
      }
    }
    const timer = setTimeout(() => apart(check()), quietMs)
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [text, base])
  const wrong = useMemo(() => new Set(linted?.errors.map(lineOf)), [linted])
  const go = (line: number) => {
    const box = area.current
    if (!box || text === undefined) return
    const at =
      text
        .split('\n')
        .slice(0, line - 1)
        .join('\n').length + (line > 1 ? 1 : 0)
    box.focus()
    box.setSelectionRange(at, Math.max(at, text.indexOf('\n', at)))
  }
  if (text === undefined) return null
  return (
    <section class="stack" aria-label="Editor">
      <div class="head">
        <h2>.gitlab-ci.yml</h2>
        <span class="dim">Checked as you type, with what it includes; a push saves it.</span>
      </div>
      <div class="editor">
        <Numbers text={text} wrong={wrong} />
        <textarea
          ref={area}
          class="code"
          aria-label="Configuration"
          spellcheck={false}
          rows={text.split('\n').length + 1}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Tab' || event.shiftKey || event.ctrlKey) return
            // Escape and then Tab leaves it, as in other editors; Tab alone indents.
            if (area.current?.dataset.leave) return
            event.preventDefault()
            document.execCommand('insertText', false, '  ')
          }}
          onKeyUp={(event) => {
            if (!area.current) return
            if (event.key === 'Escape') area.current.dataset.leave = '1'
            else delete area.current.dataset.leave
          }}
        />
      </div>
      <p class="dim small">Tab indents; Escape and then Tab leaves the editor.</p>
      {refusal && (
        <p class="refused" role="alert">
          {refusal}
        </p>
      )}
      <output class={linted?.valid ? 'good' : 'bad'}>
        {linted === undefined
          ? ''
          : linted.valid
            ? `✓ It is right, and a push to ${branch} makes ${linted.jobs?.length ?? 0} jobs`
            : `✕ ${linted.errors.length} to mend`}
      </output>
      <ul class="stack">
        {[...(linted?.errors ?? []), ...(linted?.warnings ?? [])].map((sentence) => {
          const line = lineOf(sentence)
          return (
            <li key={sentence} class={linted?.errors.includes(sentence) ? 'bad' : 'dim'}>
              {line === undefined ? (
                sentence
              ) : (
                <button type="button" class="quiet" onClick={() => go(line)}>
                  {sentence}
                </button>
              )}
            </li>
          )
        })}
      </ul>
      {linted?.jobs && linted.jobs.length > 0 ? (
        <Table caption="Jobs" columns={['Job', 'Stage', 'When', 'Needs', 'Tags']}>
          {linted.jobs.map((job) => (
            <tr key={job.name}>
              <td>{job.name}</td>
              <td>{job.stage}</td>
              <td>{job.when}</td>
              <td>{job.needs?.map((need: Row) => need.name).join(', ')}</td>
              <td>{job.tag_list?.join(', ')}</td>
            </tr>
          ))}
        </Table>
      ) : null}
    </section>
  )
}

function Numbers({ text, wrong }: { text: string; wrong: ReadonlySet<number | undefined> }) {
  return (
    <ol class="numbers" aria-hidden="true">
      {text.split('\n').map((_, i) => (
        <li key={i} class={wrong.has(i + 1) ? 'wrong' : ''}>
          {i + 1}
        </li>
      ))}
    </ol>
  )
}
