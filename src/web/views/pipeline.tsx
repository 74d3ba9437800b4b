/** One pipeline, live: as graph, table or waterfall, with the log of the job that matters now if it is wanted. */

import { useEffect, useMemo, useState } from 'preact/hooks'
import { useLocation } from 'preact-iso'
import { type ApiError, own } from '../api.js'
import { useData } from '../data.js'
import { follow } from '../live.js'
import { Action } from '../parts/action.js'
import { Loading, Refused, Took, When } from '../parts/bits.js'
import { useTitle } from '../parts/favicon.js'
import { later } from '../parts/later.js'
import { Status } from '../parts/status.js'
import { hrefs } from '../places.js'
import type { JobView, Needs, Pipeline as PipelineFields, PipelineState } from '../types.js'
import { useDownstream } from './downstream.js'
import { FollowLog } from './follow-log.js'
import { Graph } from './graph.js'
import { JobTable } from './job-table.js'
import { Waterfall } from './waterfall.js'

const ended = (status: string) => /^(success|failed|canceled|skipped)$/.test(status)

const Tests = later(async () => (await import('./tests.js')).default)
const Rules = later(async () => (await import('./rules.js')).default)

interface Shape {
  id: number
  project_id: number
  project_path: string
  may_operate: boolean
  upstream: { id: number; project_path: string } | null
  stages: string[]
  needs: Needs
}

interface Props {
  path: string
  id: number
  url: string
}

/** What the stream of a pipeline has told; it goes on when the pipeline is run again. */
function usePipeline(id: number): { state: PipelineState | undefined; refused: ApiError | undefined } {
  const [state, setState] = useState<PipelineState>()
  const [refused, setRefused] = useState<ApiError>()
  useEffect(() => {
    let jobs = new Map<number, JobView>()
    return follow(`${own}/pipelines/${id}/events?changes=true`, {
      onRefused: setRefused,
      onEvent: (name, data) => {
        if (name !== 'pipeline' && name !== 'changes') return
        const told = JSON.parse(data) as PipelineState
        if (name === 'pipeline') jobs = new Map()
        else for (const gone of (told as PipelineState & { gone?: number[] }).gone ?? []) jobs.delete(gone)
        for (const job of told.jobs) jobs.set(job.id, job)
        setState({ id: told.id, status: told.status, jobs: [...jobs.values()] })
      },
    })
  }, [id])
  return { state, refused }
}

/** The view. */
export function Pipeline({ path, id }: Props) {
  const { query, route, path: here } = useLocation()
  const { state, refused } = usePipeline(id)
  const shape = useData<Shape>(
    `${own}/pipelines/${id}/graph`,
    (change) => change.pipeline_id === id && /retried|created/.test(change.kind),
  )
  const about = useData<PipelineFields>(
    shape.data ? `/api/v4/projects/${shape.data.project_id}/pipelines/${id}` : undefined,
    (change) => change.pipeline_id === id && change.kind === 'pipeline.changed',
  )
  const downstream = useDownstream(shape.data?.project_id, id)
  const view = query.view ?? 'graph'
  const following = query.follow === '1'
  useTitle(`#${id} ${path}`, state?.status)
  const jobs = useMemo(() => inStages(state?.jobs ?? [], shape.data?.stages ?? []), [state, shape.data])
  if (refused || (shape.data && shape.data.project_path !== path))
    return <Refused error={refused ?? ({ status: 404 } as ApiError)} />
  const shown = { path, jobs, needs: shape.data?.needs ?? {}, downstream }
  const go = (changes: Record<string, string>) => {
    const next = new URLSearchParams({ ...query, ...changes })
    for (const [name, value] of [...next]) if (value === '') next.delete(name)
    route(`${here}${next.size > 0 ? `?${next}` : ''}`, true)
  }
  return (
    <>
      <Head path={path} id={id} status={state?.status} about={about.data} shape={shape.data} />
      {about.data?.yaml_errors && <pre class="refused">{about.data.yaml_errors}</pre>}
      <fieldset class="row tabs" aria-label="Show as">
        {['graph', 'table', 'waterfall', 'tests', 'left out'].map((name) => (
          <button
            key={name}
            type="button"
            aria-pressed={view === name}
            onClick={() => go({ view: name === 'graph' ? '' : name })}
          >
            {name[0]!.toUpperCase() + name.slice(1)}
          </button>
        ))}
        <button type="button" aria-pressed={following} onClick={() => go({ follow: following ? '' : '1' })}>
          Follow the log
        </button>
        <Counts jobs={jobs} />
      </fieldset>
      {state === undefined || (shape.data === undefined && !shape.error) ? <Loading /> : null}
      {view === 'graph' && jobs.length > 0 ? (
        <Graph
          {...shown}
          stages={shape.data?.stages ?? []}
          may={shape.data?.may_operate ?? false}
          projectId={shape.data?.project_id ?? 0}
        />
      ) : null}
      {view === 'table' ? (
        <JobTable {...shown} may={shape.data?.may_operate ?? false} projectId={shape.data?.project_id ?? 0} />
      ) : null}
      {view === 'waterfall' ? (
        <Waterfall {...shown} projectId={shape.data?.project_id ?? 0} pipeline={about.data} />
      ) : null}
      {view === 'tests' && shape.data ? <Tests path={path} projectId={shape.data.project_id} id={id} /> : null}
      {view === 'left out' ? <Rules id={id} /> : null}
      {following ? <FollowLog path={path} jobs={jobs} /> : null}
    </>
  )
}

function Head({
  path,
  id,
  status,
  about,
  shape,
}: {
  path: string
  id: number
  status: string | undefined
  about: PipelineFields | undefined
  shape: Shape | undefined
}) {
  const not = shape?.may_operate === false ? 'This is for those who may operate the project.' : undefined
  const base = shape && `/api/v4/projects/${shape.project_id}/pipelines/${id}`
  return (
    <>
      <p class="crumbs">
        <a href={hrefs.project(path)}>{path}</a>
        {shape?.upstream ? (
          <>
            {' / '}
            <a href={hrefs.pipeline(shape.upstream.project_path, shape.upstream.id)}>Pipeline #{shape.upstream.id}</a>
          </>
        ) : null}
      </p>
      <div class="head">
        <h1>
          {status ? <Status status={status} /> : null} Pipeline #{id}
          {about?.name ? ` · ${about.name}` : ''}
        </h1>
        <span class="row">
          {base === undefined || status === undefined ? null : ended(status) ? (
            <Action label="Retry what failed" path={`${base}/retry`} not={not} />
          ) : (
            <Action label="Cancel" path={`${base}/cancel`} not={not} kind="danger" name="Cancel the pipeline" />
          )}
        </span>
      </div>
      {about && (
        <p class="facts">
          <a class="ref" href={`${hrefs.project(path)}/-/pipelines?ref=${encodeURIComponent(about.ref)}`}>
            {about.ref}
          </a>
          <span class="code">{about.sha.slice(0, 8)}</span>
          <span>
            {about.source}
            {about.user ? ` by ${about.user.username}` : ''}
          </span>
          <When time={about.created_at} />
          <Took from={about.created_at} to={status && ended(status) ? (about.finished_at ?? about.updated_at) : null} />
        </p>
      )}
    </>
  )
}

function Counts({ jobs }: { jobs: readonly JobView[] }) {
  const counts = new Map<string, number>()
  for (const job of jobs) {
    const status = job.status === 'failed' && job.allow_failure ? 'warning' : job.status
    counts.set(status, (counts.get(status) ?? 0) + 1)
  }
  return (
    <span class="counts">
      {[...counts].map(([status, count]) => (
        <span key={status}>
          {count} <Status status={status} />
        </span>
      ))}
    </span>
  )
}

/** By stage, then as they were made: also before the first has run. */
function inStages(jobs: readonly JobView[], stages: readonly string[]): JobView[] {
  const order = new Map(stages.map((name, i) => [name, i]))
  return [...jobs].sort((a, b) => (order.get(a.stage) ?? 0) - (order.get(b.stage) ?? 0) || a.id - b.id)
}
