/** Where the time of a pipeline went: for each job how long it waited for others, for a runner, and ran. */
import { useMemo } from 'preact/hooks'
import { useData } from '../data.js'
import { lookOf, Status } from '../parts/status.js'
import { hrefs } from '../places.js'
import { duration, now } from '../time.js'
import type { JobView, Needs, Pipeline, PipelineRow } from '../types.js'
import { criticalPath } from './layout.js'

interface Props {
  path: string
  jobs: readonly JobView[]
  needs: Needs
  projectId: number
  pipeline: Pipeline | undefined
}

/** The picture, with what it says in a sentence above. */
export function Waterfall({ path, jobs, needs, projectId, pipeline }: Props) {
  const live = jobs.some((job) => job.finished_at === null && (job.started_at !== null || job.queued_at !== null))
  const start = Math.min(...jobs.map((job) => job.queued_at ?? job.created_at))
  const end = Math.max(start + 1000, ...jobs.map((job) => job.finished_at ?? 0), live ? now.value : 0)
  const critical = useMemo(() => criticalPath(jobs, needs), [jobs, needs])
  const share = (ms: number) => `${((100 * ms) / (end - start)).toFixed(3)}%`
  return (
    <section aria-label="Waterfall">
      <p class="facts">
        <span>
          {duration(end - start)} in all, of which the queue cost <strong>{duration(critical.queuedMs)}</strong> on the
          critical path
        </span>
        <Compared projectId={projectId} pipeline={pipeline} tookMs={end - start} />
      </p>
      <ol class="waterfall">
        {jobs.map((job) => {
          const queued = job.queued_at ?? job.started_at
          const ran = job.started_at
          const over = job.finished_at ?? now.value
          const waited = queued === null ? 0 : Math.max(0, (ran ?? over) - queued)
          const label = `${job.name}: ${lookOf(job.status, job.allow_failure).word}, waited ${duration(waited)}${ran === null ? '' : `, ran ${duration(over - ran)}`}`
          return (
            <li key={job.id} class={critical.ids.has(job.id) ? 'critical' : ''}>
              <a href={hrefs.job(path, job.id)} aria-label={label} title={label}>
                <Status status={job.status} allowed={job.allow_failure} bare />
                <span class="name">{job.name}</span>
              </a>
              <span class="track" aria-hidden="true">
                {queued !== null && (
                  <span class="queued" style={{ left: share(queued - start), width: share(waited) }} />
                )}
                {ran !== null && (
                  <span
                    class={`ran ${lookOf(job.status, job.allow_failure).tone}`}
                    style={{ left: share(ran - start), width: share(Math.max(0, over - ran)) }}
                  />
                )}
              </span>
              <span class="figure dim">{ran === null ? '' : duration(over - ran)}</span>
            </li>
          )
        })}
      </ol>
      <p class="dim small">
        Hatched: waited for a runner. Solid: ran. Marked at the left: the critical path, which the end waited for.
      </p>
    </section>
  )
}

function Compared({
  projectId,
  pipeline,
  tookMs,
}: {
  projectId: number
  pipeline: Pipeline | undefined
  tookMs: number
}) {
  const asked = pipeline && new URLSearchParams({ ref: pipeline.ref, status: 'success', per_page: '2' })
  const green = useData<PipelineRow[]>(asked && `/api/v4/projects/${projectId}/pipelines?${asked}`)
  const before = green.data?.find((one) => one.id !== pipeline?.id && one.id < (pipeline?.id ?? 0))
  const last = useData<Pipeline>(before && `/api/v4/projects/${projectId}/pipelines/${before.id}`)
  if (!last.data?.finished_at) return null
  const ms = Date.parse(last.data.finished_at) - Date.parse(last.data.created_at)
  const more = tookMs - ms
  return (
    <span>
      the last green one, #{last.data.id}, took {duration(ms)}:{' '}
      {more > 0 ? `${duration(more)} less` : `${duration(-more)} more`}
    </span>
  )
}
