/** Going anywhere by the keyboard: Ctrl K asks where to, `?` tells the keys. */

import { useEffect, useRef, useState } from 'preact/hooks'
import { useLocation } from 'preact-iso'
import { ask } from '../api.js'
import { person } from '../session.js'
import type { Project } from '../types.js'

interface Goal {
  label: string
  href: string
}

const fixed: readonly Goal[] = [
  { label: 'Projects', href: '/' },
  { label: 'Queue', href: '/-/queue' },
  { label: 'Fleet', href: '/-/fleet' },
  { label: 'Fleet: add a runner', href: '/-/fleet?add=1' },
  { label: 'System: background tasks', href: '/-/system' },
  { label: 'System: plugins', href: '/-/system?tab=plugins' },
]

const keys = [
  ['Ctrl K', 'go anywhere'],
  ['?', 'these keys'],
  ['/', 'search: the log, or the list'],
  ['j, k', 'in a log: next and previous line of the failure, or what was found'],
  ['f', 'in a log: follow its end'],
  ['Esc', 'close'],
] as const

const isTyping = (target: EventTarget | null) =>
  target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)

/** Both dialogs, and the keys that open them. */
export function Palette() {
  const [shown, setShown] = useState<'' | 'go' | 'keys'>('')
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault()
        setShown('go')
      } else if (event.key === '?' && !isTyping(event.target)) setShown('keys')
      else if (event.key === '/' && !isTyping(event.target)) {
        const box = document.querySelector<HTMLInputElement>('main input[type=search]')
        if (box) event.preventDefault()
        box?.focus()
      }
    }
    addEventListener('keydown', press)
    return () => removeEventListener('keydown', press)
  }, [])
  useEffect(() => {
    if (shown !== '') dialog.current?.showModal()
  }, [shown])
  if (shown === '') return null
  const close = () => setShown('')
  return (
    <dialog ref={dialog} class="palette" onClose={close} aria-label={shown === 'go' ? 'Go to' : 'Keys'}>
      {shown === 'go' ? <Go close={close} /> : <Keys close={close} />}
    </dialog>
  )
}

function Go({ close }: { close: () => void }) {
  const { route } = useLocation()
  const [text, setText] = useState('')
  const [found, setFound] = useState<Goal[]>([])
  const [at, setAt] = useState(0)
  useEffect(() => {
    const stop = new AbortController()
    const timer = setTimeout(() => {
      if (!person.value) return
      ask<Project[]>(`/api/v4/projects?simple=true&per_page=8&search=${encodeURIComponent(text)}`, {
        signal: stop.signal,
      }).then(
        (projects) => setFound(projects.map(({ path_with_namespace: path }) => ({ label: path, href: `/${path}` }))),
        () => undefined,
      )
    }, 120)
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [text])
  const goals = [...fixed.filter(({ label }) => label.toLowerCase().includes(text.toLowerCase())), ...found]
  const go = (goal: Goal | undefined) => {
    if (goal) route(goal.href)
    close()
  }
  const press = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown') setAt(Math.min(at + 1, goals.length - 1))
    else if (event.key === 'ArrowUp') setAt(Math.max(at - 1, 0))
    else if (event.key === 'Enter') go(goals[at])
    else return
    event.preventDefault()
  }
  return (
    <>
      <input
        aria-label="Go to"
        placeholder="A project, or a view"
        value={text}
        // biome-ignore lint/a11y/noAutofocus: a dialog that was asked for by a key is typed into.
        autoFocus
        onInput={(event) => {
          setText(event.currentTarget.value)
          setAt(0)
        }}
        onKeyDown={press}
      />
      <ul>
        {goals.map((goal, i) => (
          <li key={goal.href}>
            <a href={goal.href} class={i === at ? 'chosen' : ''} onClick={close}>
              {goal.label}
            </a>
          </li>
        ))}
      </ul>
    </>
  )
}

function Keys({ close }: { close: () => void }) {
  return (
    <>
      <h2>Keys</h2>
      <dl>
        {keys.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <button type="button" onClick={close}>
        Close
      </button>
    </>
  )
}
