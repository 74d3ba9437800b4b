/** The fleet: each runner with its processes, what it runs, and what can be done with it. */

import { useState } from 'preact/hooks'
import { useLocation } from 'preact-iso'
import { own } from '../api.js'
import { useData } from '../data.js'
import { Action } from '../parts/action.js'
import { Empty, Loading, Refused, Took, When } from '../parts/bits.js'
import { useTitle } from '../parts/favicon.js'
import { hrefs } from '../places.js'
import { AddRunner } from './add-runner.js'

/** A runner as our own API lists it. */
export interface FleetRunner {
  id: number
  description: string
  type: string
  status: string
  paused: boolean
  tags: string[]
  run_untagged: boolean
  job_limit: number | null
  contacted_at: string | null
  managers: {
    system_id: string
    version: string
    platform: string
    architecture: string
    executor: string
    contacted_at: string
  }[]
  jobs: {
    id: number
    name: string
    project_path: string
    transport: string
    started_at: string | null
    offered_at: string
  }[]
  /** How long the last jobs that it took had waited, in milliseconds; null: it has taken none. */
  median_wait_ms: number | null
}

/** The view. */
export function Fleet() {
  const { query, route } = useLocation()
  const [adding, setAdding] = useState(query.add === '1')
  const { data, error, reload } = useData<FleetRunner[]>(`${own}/runners`, (change) =>
    /^(runner|lease|job\.leased|job\.started)/.test(change.kind),
  )
  useTitle('Fleet')
  return (
    <>
      <div class="head">
        <h1>Fleet</h1>
        <button
          type="button"
          class="main"
          aria-expanded={adding}
          onClick={() => {
            setAdding(!adding)
            if (adding) route('/-/fleet', true)
          }}
        >
          Add a runner
        </button>
      </div>
      {adding && <AddRunner tags={query.tags ?? ''} runners={data ?? []} onMade={reload} />}
      <Refused error={error} />
      {!data && !error ? <Loading /> : null}
      {data?.length === 0 && !adding ? (
        <Empty title="There are no runners yet">
          <p>Nothing runs without one. Make one, and paste the command that is shown where it is to run.</p>
          <button type="button" class="main" onClick={() => setAdding(true)}>
            Add a runner
          </button>
        </Empty>
      ) : null}
      <ul class="cards wide">
        {data?.map((runner) => (
          <Runner key={runner.id} runner={runner} reload={reload} />
        ))}
      </ul>
    </>
  )
}

const words: Readonly<Record<string, [word: string, tone: string]>> = {
  online: ['online', 'good'],
  offline: ['offline', 'bad'],
  stale: ['not seen for long', 'bad'],
  never_contacted: ['never seen', 'wait'],
  paused: ['paused', 'ask'],
}

function Runner({ runner, reload }: { runner: FleetRunner; reload: () => void }) {
  const [word, tone] = words[runner.status] ?? [runner.status, 'none']
  const name = runner.description || `runner ${runner.id}`
  const path = `/api/v4/runners/${runner.id}`
  return (
    <li class="card">
      <div class="head">
        <h2>
          <span class={`dot ${tone}`} aria-hidden="true" /> {name}
        </h2>
        <span class="row">
          {runner.paused ? (
            <Action
              label="Resume"
              name={`Resume ${name}`}
              path={path}
              method="PUT"
              body={{ paused: false }}
              onDone={reload}
            />
          ) : (
            <Action
              label="Pause"
              name={`Pause ${name}`}
              path={path}
              method="PUT"
              body={{ paused: true }}
              onDone={reload}
            />
          )}
          <Action label="Drain" name={`Drain ${name}`} path={`${own}/runners/${runner.id}/drain`} onDone={reload} />
        </span>
      </div>
      <p class="facts">
        <span>{word}</span>
        <span>#{runner.id}</span>
        <span>{runner.type}</span>
        <span>
          {runner.paused && runner.jobs.length > 0
            ? `drains: ${runner.jobs.length} to go`
            : `${runner.jobs.length}${runner.job_limit === null ? '' : ` of ${runner.job_limit}`} ${runner.jobs.length === 1 ? 'job' : 'jobs'} now`}
        </span>
        <span>
          seen <When time={runner.contacted_at} absent="never" />
        </span>
        {runner.median_wait_ms !== null && <span>its jobs waited {runner.median_wait_ms} ms (median)</span>}
      </p>
      <p class="row">
        {runner.tags.map((tag) => (
          <span key={tag} class="tag">
            {tag}
          </span>
        ))}
        {runner.run_untagged && <span class="dim small">also jobs without tags</span>}
      </p>
      {runner.jobs.length > 0 && (
        <ul class="plain">
          {runner.jobs.map((job) => (
            <li key={job.id} class="row">
              <a href={hrefs.job(job.project_path, job.id)}>{job.name}</a> <span class="dim">{job.project_path}</span>
              <span class="dim">{job.transport}</span>
              <Took from={job.started_at ?? job.offered_at} to={null} />
            </li>
          ))}
        </ul>
      )}
      {runner.managers.map((manager) => (
        <p key={manager.system_id} class="dim small facts">
          <span class="code">{manager.system_id}</span>
          <span>{manager.version}</span>
          <span>
            {manager.platform}/{manager.architecture}
          </span>
          <span>{manager.executor}</span>
          <span>
            seen <When time={manager.contacted_at} />
          </span>
        </p>
      ))}
    </li>
  )
}
