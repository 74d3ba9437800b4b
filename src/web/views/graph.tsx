/** The jobs of a pipeline as stages, or in the order in which they need each other; the lines show what waits for what. */
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import { Status, worstOf } from '../parts/status.js'
import { hrefs } from '../places.js'
import { duration, now } from '../time.js'
import type { JobView, Needs } from '../types.js'
import { type Downstream, DownstreamLink } from './downstream.js'
import { JobActions } from './job-actions.js'
import { columnsByNeeds, groupsOf, type JobGroup } from './layout.js'

interface Props {
  path: string
  jobs: readonly JobView[]
  needs: Needs
  stages: readonly string[]
  may: boolean
  projectId: number
  downstream: Downstream
}

/** The picture. It is whole before the first job has run, and drawn anew only where something changes. */
export function Graph({ path, jobs, needs, stages, may, projectId, downstream }: Props) {
  const [byNeeds, setByNeeds] = useState(false)
  const [lit, setLit] = useState<number>()
  const hasNeeds = Object.values(needs).some((list) => list.length > 0)
  const columns = useMemo(
    () =>
      byNeeds
        ? columnsByNeeds(jobs, needs)
        : stages.map((name) => ({ name, jobs: jobs.filter((job) => job.stage === name) })),
    [jobs, needs, stages, byNeeds],
  )
  const related = useMemo(() => (lit === undefined ? undefined : relatedTo(lit, needs)), [lit, needs])
  return (
    <>
      {hasNeeds && (
        <label class="row small">
          <input type="checkbox" checked={byNeeds} onChange={(event) => setByNeeds(event.currentTarget.checked)} />
          in the order of needs
        </label>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keyboards must be able to. */}
      <section class="graph" tabIndex={0} aria-label="Jobs by stage">
        <Lines needs={needs} jobs={jobs} related={related} shape={columns} />
        {columns.map((column) => (
          <div class="column" key={column.name}>
            <h2>{column.name}</h2>
            <ul>
              {groupsOf(column.jobs).map((group) => (
                <Group
                  key={group.name}
                  group={group}
                  related={related}
                  onLight={setLit}
                  {...{ path, may, projectId, downstream }}
                />
              ))}
            </ul>
          </div>
        ))}
      </section>
    </>
  )
}

interface Shared {
  downstream: Downstream
  path: string
  may: boolean
  projectId: number
  related: ReadonlySet<number> | undefined
  onLight: (id: number | undefined) => void
}

/** Jobs of one matrix or number stand behind one box that has the worst one's status. */
function Group({ group, ...shared }: { group: JobGroup } & Shared) {
  const [open, setOpen] = useState(false)
  if (group.jobs.length === 1) return <Box job={group.jobs[0]!} {...shared} />
  const worst = worstOf(group.jobs)
  return (
    <>
      <li class="box group" data-jobs={group.jobs.map((job) => job.id).join(' ')}>
        <button type="button" class="quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
          <Status status={worst.status} allowed={worst.allowed} bare />
          <span class="name">{group.name}</span>
          <span class="dim">{group.jobs.length}</span>
        </button>
      </li>
      {open && group.jobs.map((job) => <Box key={job.id} job={job} {...shared} />)}
    </>
  )
}

function Box({ job, path, may, projectId, related, onLight, downstream }: { job: JobView } & Shared) {
  const dimmed = related !== undefined && !related.has(job.id)
  const below = downstream.get(job.id)
  const canAct = job.status === 'manual' || job.status === 'failed'
  return (
    <li
      class={`box${dimmed ? ' dimmed' : ''}`}
      data-jobs={String(job.id)}
      onMouseEnter={() => onLight(job.id)}
      onMouseLeave={() => onLight(undefined)}
    >
      <a href={hrefs.job(path, job.id)} onFocus={() => onLight(job.id)} onBlur={() => onLight(undefined)}>
        <Status status={job.status} allowed={job.allow_failure} bare />
        <span class="name">{job.name}</span>
        <span class="dim figure">{timeOf(job)}</span>
      </a>
      {below && <DownstreamLink pipeline={below} />}
      {canAct && <JobActions job={job} projectId={projectId} may={may} />}
    </li>
  )
}

function timeOf(job: JobView): string {
  if (job.started_at !== null)
    return duration((job.finished_at ?? Math.max(now.value, job.started_at)) - job.started_at)
  if (job.status === 'pending' && job.queued_at !== null)
    return `waits ${duration(Math.max(0, now.value - job.queued_at))}`
  return ''
}

/** The job with all that it needs and all that need it. */
function relatedTo(id: number, needs: Needs): Set<number> {
  const after = new Map<number, number[]>()
  for (const [job, list] of Object.entries(needs)) {
    for (const one of list) after.set(one, [...(after.get(one) ?? []), Number(job)])
  }
  const found = new Set([id])
  const walk = (from: number, next: (at: number) => readonly number[]): void => {
    const seen = new Set([from])
    for (const one of seen) {
      for (const other of next(one)) seen.add(other)
      found.add(one)
    }
  }
  walk(id, (one) => needs[one] ?? [])
  walk(id, (one) => after.get(one) ?? [])
  return found
}

interface LinesProps {
  needs: Needs
  jobs: readonly JobView[]
  related: ReadonlySet<number> | undefined
  /** Drawn anew when this changes. */
  shape: unknown
}

function Lines({ needs, jobs, related, shape }: LinesProps) {
  const svg = useRef<SVGSVGElement>(null)
  const [paths, setPaths] = useState<{ d: string; from: number; to: number }[]>([])
  const [size, setSize] = useState({ width: 0, height: 0 })
  useLayoutEffect(() => {
    const area = svg.current?.parentElement
    if (!area) return
    const draw = () => {
      const origin = area.getBoundingClientRect()
      const at = new Map<number, DOMRect>()
      for (const box of area.querySelectorAll<HTMLElement>('[data-jobs]')) {
        const place = box.getBoundingClientRect()
        for (const id of box.dataset.jobs!.split(' ')) at.set(Number(id), place)
      }
      const x = (value: number) => Math.round(value - origin.left + area.scrollLeft)
      const y = (value: number) => Math.round(value - origin.top + area.scrollTop)
      const found = new Map<string, { d: string; from: number; to: number }>()
      for (const job of jobs) {
        for (const before of needs[job.id] ?? []) {
          const [a, b] = [at.get(before), at.get(job.id)]
          if (!a || !b) continue
          const [x1, y1, x2, y2] = [x(a.right), y(a.top + a.height / 2), x(b.left), y(b.top + b.height / 2)]
          const bend = Math.max(16, Math.abs(x2 - x1) / 2)
          const d =
            x2 > x1
              ? `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`
              : `M${x1} ${y1}C${x1 + 24} ${y1} ${x1 + 24} ${y2} ${x(b.right)} ${y2}`
          found.set(d, { d, from: before, to: job.id })
        }
      }
      setPaths([...found.values()])
      setSize({ width: area.scrollWidth, height: area.scrollHeight })
    }
    draw()
    const watcher = new ResizeObserver(draw)
    watcher.observe(area)
    return () => watcher.disconnect()
  }, [needs, shape, jobs.length])
  return (
    <svg ref={svg} class="lines" width={size.width} height={size.height} aria-hidden="true">
      {paths.map(({ d, from, to }) => (
        <path
          key={d}
          d={d}
          class={related === undefined ? '' : related.has(from) && related.has(to) ? 'lit' : 'dimmed'}
        />
      ))}
    </svg>
  )
}
