/** One job: its log, why it failed or waits, its attempts and what has become of it since it was made. */

import { useLocation } from 'preact-iso'
import { type ApiError, own } from '../api.js'
import { useData } from '../data.js'
import { LogView } from '../log/log-view.js'
import { Loading, Refused, Took, When } from '../parts/bits.js'
import { useTitle } from '../parts/favicon.js'
import { later } from '../parts/later.js'
import { Status } from '../parts/status.js'
import { hrefs } from '../places.js'
import type { JobPlace } from '../types.js'
import { Attempts } from './attempts.js'
import { DownstreamLink, useDownstream } from './downstream.js'
import { History } from './history.js'
import { JobActions } from './job-actions.js'
import { PlayWith } from './play.js'
import { WhyFailed, WhyWaiting } from './why.js'

const Artifacts = later(async () => (await import('./artifacts.js')).default)

/** A job as GitLab's API has it, as far as it is shown. */
export interface JobFields {
  id: number
  name: string
  stage: string
  status: string
  allow_failure: boolean
  created_at: string
  queued_at?: string | null
  started_at: string | null
  finished_at: string | null
  queued_duration: number | null
  failure_reason?: string
  web_url: string
  runner: { id: number; description: string | null } | null
  artifacts: { file_type: string; filename: string; size: number }[]
  artifacts_file?: { filename: string; size: number }
  pipeline: { id: number; ref: string; sha: string }
}

interface Props {
  path: string
  id: number
}

const tabs = ['log', 'artifacts', 'history'] as const

/** The view. */
export function Job({ path, id }: Props) {
  const { route, query, path: here } = useLocation()
  const beside = /^[1-9]\d{0,15}$/.test(query.beside ?? '') ? Number(query.beside) : undefined
  const tab = tabs.find((one) => one === query.tab) ?? 'log'
  const ofJob = (change: { job_id: number | null }) => change.job_id === id
  const place = useData<JobPlace>(`${own}/jobs/${id}`, ofJob)
  const job = useData<JobFields>(place.data && `/api/v4/projects/${place.data.project_id}/jobs/${id}`, ofJob)
  const shape = useData<{ may_operate: boolean }>(place.data && `${own}/pipelines/${place.data.pipeline_id}/graph`)
  const below = useDownstream(place.data?.project_id, place.data?.pipeline_id ?? 0).get(id)
  useTitle(`${place.data?.name ?? 'Job'} #${id}`, place.data?.status)
  if (place.error && place.error.status !== 0) return <Refused error={place.error} />
  if (!place.data) return <Loading />
  if (place.data.project_path !== path) return <Refused error={{ status: 404 } as ApiError} />
  const { status, name, failure, project_id: projectId, pipeline_id: pipelineId } = place.data
  const may = shape.data?.may_operate ?? false
  const waits = /^(created|pending|waiting_for_resource|waiting_for_callback|preparing|manual|scheduled)$/.test(status)
  const artifacts = job.data?.artifacts.filter((one) => one.file_type !== 'trace') ?? []
  return (
    <>
      <p class="crumbs">
        <a href={hrefs.project(path)}>{path}</a> / <a href={hrefs.pipeline(path, pipelineId)}>Pipeline #{pipelineId}</a>
      </p>
      <div class="head">
        <h1>
          <Status status={status} allowed={job.data?.allow_failure ?? false} /> {name}
        </h1>
        <span class="row">
          <JobActions
            job={{ id, name, status }}
            projectId={projectId}
            may={may}
            onRetried={(made) => route(hrefs.job(path, made))}
          />
          {status === 'manual' && may ? (
            <PlayWith base={`/api/v4/projects/${projectId}/jobs/${id}`} name={name} onDone={place.reload} />
          ) : null}
        </span>
      </div>
      {job.data && (
        <p class="facts">
          <span>{job.data.stage}</span>
          <span class="ref">{job.data.pipeline.ref}</span>
          {job.data.runner ? <span>on {job.data.runner.description ?? `runner ${job.data.runner.id}`}</span> : null}
          <span>
            made <When time={job.data.created_at} />
          </span>
          {job.data.started_at && (
            <span>
              ran <Took from={job.data.started_at} to={job.data.finished_at} />
            </span>
          )}
        </p>
      )}
      {below && (
        <p>
          <DownstreamLink pipeline={below} />
        </p>
      )}
      <Attempts path={path} projectId={projectId} pipelineId={pipelineId} id={id} name={name} beside={beside} />
      {failure ? <WhyFailed failure={failure} jobId={id} /> : null}
      {waits && may ? <WhyWaiting id={id} path={path} /> : null}
      <fieldset class="row tabs" aria-label="Show">
        {tabs.map((one) => (
          <button
            key={one}
            type="button"
            aria-pressed={tab === one}
            onClick={() => route(one === 'log' ? here : `${here}?tab=${one}`, true)}
          >
            {one[0]!.toUpperCase() + one.slice(1)}
            {one === 'artifacts' && artifacts.length > 0 ? ` (${artifacts.length})` : ''}
          </button>
        ))}
      </fieldset>
      {tab === 'log' ? (
        below ? null : waits ? (
          <p class="dim">The log begins when the job does.</p>
        ) : (
          <div class={beside === undefined ? '' : 'beside'}>
            <LogView jobId={id} raw={hrefs.raw(path, id)} withAddress />
            {beside !== undefined && (
              <LogView key={beside} jobId={beside} raw={hrefs.raw(path, beside)} withAddress={false} />
            )}
          </div>
        )
      ) : null}
      {tab === 'artifacts' ? <Artifacts projectId={projectId} id={id} files={artifacts} /> : null}
      {tab === 'history' ? <History id={id} /> : null}
    </>
  )
}
