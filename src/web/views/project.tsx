/** The pipelines of a project, by a filter that stands in the address. */

import { useState } from 'preact/hooks'
import { useLocation } from 'preact-iso'
import { useData } from '../data.js'
import { Action } from '../parts/action.js'
import { Command, Empty, Loading, Refused, When } from '../parts/bits.js'
import { useTitle } from '../parts/favicon.js'
import { lookOf } from '../parts/status.js'
import type { PipelineRow, Project as ProjectFields } from '../types.js'
import { PipelineRows } from './pipeline-rows.js'
import { ProjectFrame } from './project/frame.js'
import { RunPipeline } from './run-pipeline.js'

const fields = ['status', 'ref', 'source', 'username', 'sha'] as const
const statuses = ['running', 'pending', 'success', 'failed', 'canceled', 'skipped', 'manual', 'created']

interface Props {
  path: string
  /** What the address itself asks for: `/-/commit/SHA`. */
  fixed: Record<string, string>
}

/** The view. */
export function Project({ path, fixed }: Props) {
  const { query, route, path: here } = useLocation()
  const [running, setRunning] = useState(false)
  const base = `/api/v4/projects/${encodeURIComponent(path)}`
  const project = useData<ProjectFields>(base)
  const filter: Record<string, string> = {
    ...fixed,
    ...Object.fromEntries(fields.flatMap((name) => (query[name] ? [[name, query[name]]] : []))),
  }
  const page = Number(query.page ?? 1) || 1
  const asked = new URLSearchParams({ ...filter, per_page: '20', page: String(page) })
  const id = project.data?.id
  const list = useData<PipelineRow[]>(
    id === undefined ? undefined : `${base}/pipelines?${asked}`,
    (change) => change.project_id === id && change.kind.startsWith('pipeline.'),
  )
  const narrow = (name: string, value: string) => {
    const next = new URLSearchParams({ ...query, [name]: value })
    if (value === '') next.delete(name)
    next.delete('page')
    route(`${here}${next.size > 0 ? `?${next}` : ''}`)
  }
  const turn = (to: number) => `${here}?${new URLSearchParams({ ...query, page: String(to) })}`
  useTitle(path, list.data?.[0]?.status)
  if (project.error && project.error.status !== 0) return <Refused error={project.error} />
  return (
    <ProjectFrame
      path={path}
      actions={
        <>
          {id !== undefined && (
            <Action label="Clear runner caches" path={`/api/signalbox/v1/projects/${id}/clear-caches`} />
          )}
          <button type="button" class="main" aria-expanded={running} onClick={() => setRunning(!running)}>
            Run a pipeline
          </button>
        </>
      }
    >
      {project.data?.description && <p class="dim">{project.data.description}</p>}
      {fixed.sha ? <Commit base={base} sha={fixed.sha} /> : null}
      {running && project.data && <RunPipeline project={project.data} />}
      <form class="filters" aria-label="Filter" onSubmit={(event) => event.preventDefault()}>
        <label>
          Status
          <select value={filter.status ?? ''} onChange={(event) => narrow('status', event.currentTarget.value)}>
            <option value="">any</option>
            {statuses.map((status) => (
              <option key={status} value={status}>
                {lookOf(status).word}
              </option>
            ))}
          </select>
        </label>
        {(['ref', 'source', 'username'] as const).map((name) => (
          <label key={name}>
            {{ ref: 'Branch or tag', source: 'Source', username: 'Person' }[name]}
            <input
              value={filter[name] ?? ''}
              disabled={name in fixed}
              onChange={(event) => narrow(name, event.currentTarget.value.trim())}
            />
          </label>
        ))}
      </form>
      <Refused error={list.error} />
      {list.data === undefined && !list.error ? <Loading /> : null}
      {list.data?.length === 0 ? (
        <NoPipelines path={path} filtered={Object.keys(filter).length > 0} />
      ) : (
        <PipelineRows path={path} rows={list.data ?? []} />
      )}
      <p class="row">
        {page > 1 && <a href={turn(page - 1)}>Newer</a>}
        {list.data?.length === 20 && <a href={turn(page + 1)}>Older</a>}
      </p>
    </ProjectFrame>
  )
}

/** What the commit is whose pipelines are shown. */
function Commit({ base, sha }: { base: string; sha: string }) {
  const { data } = useData<{ message: string; author_name: string; created_at: string; id: string }>(
    `${base}/repository/commits/${encodeURIComponent(sha)}`,
  )
  if (!data) return null
  return (
    <section class="commit" aria-label="Commit">
      <p class="prose">{data.message.trim()}</p>
      <p class="facts">
        <span class="code">{data.id}</span>
        <span>{data.author_name}</span>
        <When time={data.created_at} />
      </p>
    </section>
  )
}

function NoPipelines({ path, filtered }: { path: string; filtered: boolean }) {
  if (filtered) return <Empty title="No pipeline fits this filter" />
  return (
    <Empty title="No pipeline yet">
      <p>A push makes one, if the repository has a .gitlab-ci.yml:</p>
      <Command>{`git push ${location.origin}/${path}.git HEAD:main`}</Command>
    </Empty>
  )
}
