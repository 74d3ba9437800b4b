/** A job's log: opens where it failed, follows what is added, and shows as many lines as fit, however long it is. */
import { useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks'
import { LogRow } from './row.js'
import { scrollTopOf, windowAt } from './scroll.js'
import { type Found, LogSearch } from './search.js'
import { Folding, keyOf, sectionsOf } from './sections.js'
import { LogStore } from './store.js'
import type { Line } from './text.js'

interface Props {
  jobId: number
  raw: string
  /** The lines of the address: `#L3-L7`. */
  withAddress: boolean
}

type Stamps = 'none' | 'time' | 'since start' | 'since last'

/** `#L3`, `#L3-L7` as lines from 0; both ends included. */
export function pickedOf(hash: string): { from: number; to: number } | undefined {
  const [, from, to = from] = /^#L(\d{1,9})(?:-L(\d{1,9}))?$/.exec(hash) ?? []
  if (from === undefined) return undefined
  const [a, b] = [Number(from) - 1, Number(to) - 1]
  return { from: Math.min(a, b), to: Math.max(a, b) }
}

/** The log with its tools. */
export function LogView({ jobId, raw, withAddress }: Props) {
  const [, show] = useReducer((count: number, by: number) => count + by, 0)
  const [store, setStore] = useState<LogStore>()
  const box = useRef<HTMLElement>(null)
  const [scroll, setScroll] = useState({ top: 0, height: 600 })
  const [following, setFollowing] = useState(false)
  const [seen, setSeen] = useState(0)
  const [picked, setPicked] = useState(withAddress ? pickedOf(location.hash) : undefined)
  const [toggled, setToggled] = useState<ReadonlySet<string>>(new Set())
  const [text, setText] = useState('')
  const [found, setFound] = useState<Found>()
  const [at, setAt] = useState(0)
  const [stamps, setStamps] = useState<Stamps>('none')
  const placed = useRef(false)
  const [target, setTarget] = useState<{ line: number }>()

  useEffect(() => {
    let drawing = false
    const made = new LogStore(jobId, () => {
      if (drawing) return
      drawing = true
      requestAnimationFrame(() => {
        drawing = false
        show(1)
      })
    })
    placed.current = false
    setStore(made)
    return () => made.close()
  }, [jobId])

  const lines = store?.lines ?? 0
  const sections = useMemo(() => sectionsOf(store?.marks ?? [], lines), [store, lines, store?.marks.length])
  const failure = store?.failureLines ?? []
  const closed = useMemo(() => {
    const wanted = new Set<string>()
    for (const section of sections) {
      const key = keyOf(section)
      // One that shows the failure, or what the address names, opens itself.
      const matters = [...failure, ...(picked ? [picked.from] : [])].some(
        (line) => line > section.start && line < section.end,
      )
      if ((section.closedAtFirst && !matters) !== toggled.has(key)) wanted.add(key)
    }
    return wanted
  }, [sections, toggled, failure, picked])
  const folding = useMemo(() => new Folding(sections, closed, lines), [sections, closed, lines])
  const byStart = useMemo(() => new Map(sections.map((section) => [section.start, section])), [sections])

  const scrollTo = (top: number) => {
    if (!box.current) return
    box.current.scrollTop = top
    setScroll({ top: box.current.scrollTop, height: box.current.clientHeight })
  }
  const goTo = (line: number) => {
    const opened = new Set(toggled)
    for (const one of sections) {
      if (line <= one.start || line >= one.end || !closed.has(keyOf(one))) continue
      if (!opened.delete(keyOf(one))) opened.add(keyOf(one))
    }
    setToggled(opened)
    setFollowing(false)
    setTarget({ line })
  }
  // After what hides the line has been opened.
  useLayoutEffect(() => {
    if (!target) return
    scrollTo(scrollTopOf(folding.placeOf(target.line), scroll.height, folding.count))
    setTarget(undefined)
  }, [target, folding])

  // As high as what is left of the window: where the failure is, it is seen without scrolling the page.
  useLayoutEffect(() => {
    const area = box.current
    if (!area) return
    const fill = () => {
      const top = area.getBoundingClientRect().top + window.scrollY
      area.style.height = `${Math.max(320, window.innerHeight - top - 24)}px`
      setScroll((now) => (now.height === area.clientHeight ? now : { ...now, height: area.clientHeight }))
    }
    fill()
    const watcher = new ResizeObserver(fill)
    watcher.observe(document.getElementById('main')!)
    addEventListener('resize', fill)
    return () => {
      watcher.disconnect()
      removeEventListener('resize', fill)
    }
  }, [])
  // The first look: where the address says, or at the failure, or at the end of what is being written.
  useLayoutEffect(() => {
    if (!store?.loaded || placed.current || !box.current) return
    placed.current = true
    const first = picked?.from ?? failure[0]
    setScroll({ top: 0, height: box.current.clientHeight })
    if (first !== undefined) scrollTo(scrollTopOf(folding.placeOf(first), box.current.clientHeight, folding.count))
    else if (!store.ended) setFollowing(true)
    else scrollTo(Number.MAX_SAFE_INTEGER)
  })
  useLayoutEffect(() => {
    if (!following || !box.current) return
    scrollTo(box.current.scrollHeight)
    setSeen(lines)
  }, [following, lines, folding.count])

  const step = (by: 1 | -1) => {
    const places = found && found.matches.length > 0 ? found.matches.map((one) => one.line) : failure
    if (places.length === 0) return
    const next = (at + by + places.length) % places.length
    setAt(next)
    goTo(places[next]!)
  }
  const steps = useRef(step)
  steps.current = step
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return
      if (event.ctrlKey || event.metaKey || event.altKey) return
      if (event.key === 'j') steps.current(1)
      else if (event.key === 'k') steps.current(-1)
      else if (event.key === 'f') setFollowing((on) => !on)
    }
    addEventListener('keydown', press)
    return () => removeEventListener('keydown', press)
  }, [])

  const onScroll = () => {
    const area = box.current
    if (!area) return
    if (following && area.scrollTop < area.scrollHeight - area.clientHeight - 40) setFollowing(false)
    setScroll({ top: area.scrollTop, height: area.clientHeight })
  }
  const pick = (line: number, extend: boolean) => {
    const from = extend && picked ? Math.min(picked.from, line) : line
    const to = extend && picked ? Math.max(picked.to, line) : line
    setPicked({ from, to })
    if (withAddress) history.replaceState(null, '', `#L${from + 1}${to > from ? `-L${to + 1}` : ''}`)
  }
  // A link on the page to a line of this log.
  const picks = useRef(goTo)
  picks.current = goTo
  useEffect(() => {
    if (!withAddress) return
    const go = () => {
      const named = pickedOf(location.hash)
      setPicked(named)
      if (named) picks.current(named.from)
    }
    addEventListener('hashchange', go)
    return () => removeEventListener('hashchange', go)
  }, [withAddress])
  const toggle = (key: string) => {
    const next = new Set(toggled)
    if (!next.delete(key)) next.add(key)
    setToggled(next)
  }

  const view = windowAt(scroll.top, scroll.height, folding.count)
  const rows = Array.from({ length: view.to - view.from }, (_, i) => folding.lineAt(view.from + i))
  const current = found?.matches[at]?.line
  const matched = new Set(found?.matches.map((one) => one.line))
  const start = store?.line(0)?.time
  let before: number | undefined
  return (
    <section class="log" aria-label="Log">
      <div class="row tools">
        <LogSearch
          {...{ jobId, text, found, at }}
          onText={setText}
          onStep={step}
          onFound={(all) => {
            setFound(all)
            setAt(0)
            if (all?.matches[0]) goTo(all.matches[0].line)
          }}
        />
        {failure.length > 0 && (
          <button type="button" onClick={() => goTo(failure[0]!)}>
            Failure
          </button>
        )}
        <button type="button" aria-pressed={following} onClick={() => setFollowing(!following)}>
          {store?.ended ? 'End' : following ? 'Pause' : 'Follow'}
        </button>
        {start !== undefined && (
          <label class="small">
            Times
            <select value={stamps} onChange={(event) => setStamps(event.currentTarget.value as Stamps)}>
              {['none', 'time', 'since start', 'since last'].map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
        )}
        <a href={raw} target="_self" rel="external">
          Raw
        </a>
        <span class="dim figure small">{lines.toLocaleString()} lines</span>
      </div>
      {store?.refusal ? (
        <p class="refused" role="alert">
          {store.refusal}
        </p>
      ) : null}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keyboards must be able to. */}
      <section class="lines" ref={box} tabIndex={0} aria-label="Lines of the log" onScroll={onScroll}>
        <div class="whole" style={{ height: `${view.height}px` }}>
          <div class="shown" style={{ transform: `translateY(${Math.max(0, view.top)}px)` }}>
            {rows.map((line) => {
              const content = store?.line(line)
              const section = byStart.get(line)
              const key = section && keyOf(section)
              const stamp = stampOf(stamps, content, start, before)
              before = content?.time ?? before
              return (
                <LogRow
                  key={line}
                  {...{ line, content, section, stamp }}
                  closed={key !== undefined && closed.has(key)}
                  look={`${failure.includes(line) ? ' failure' : ''}${picked && line >= picked.from && line <= picked.to ? ' picked' : ''}${line === current ? ' current' : ''}`}
                  found={matched.has(line) ? text : ''}
                  onToggle={() => key !== undefined && toggle(key)}
                  onPick={(extend) => pick(line, extend)}
                />
              )
            })}
          </div>
        </div>
      </section>
      {!following && store && !store.ended && lines > seen && seen > 0 && (
        <button type="button" class="pill" onClick={() => setFollowing(true)}>
          {(lines - seen).toLocaleString()} new lines
        </button>
      )}
      {store?.loaded && lines === 0 ? (
        <p class="dim">{store.ended ? 'The job has written nothing.' : 'Nothing is written yet.'}</p>
      ) : null}
    </section>
  )
}

function stampOf(
  kind: Stamps,
  content: Line | undefined,
  start: number | undefined,
  before: number | undefined,
): string {
  const time = content?.time
  if (kind === 'none' || time === undefined) return ''
  if (kind === 'time') return new Date(time).toLocaleTimeString()
  const from = kind === 'since start' ? start : before
  return `+${((time - (from ?? time)) / 1000).toFixed(3)}s`
}
