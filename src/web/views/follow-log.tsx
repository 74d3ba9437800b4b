/** The log of the job that matters now: it moves on by itself to what fails, or else to what runs. */
import { useRef } from 'preact/hooks'
import { LogView } from '../log/log-view.js'
import { Status } from '../parts/status.js'
import { hrefs } from '../places.js'
import type { JobView } from '../types.js'

/** Which job to look at: the first that failed; else stay with one that runs; else the first that runs; else the last. */
export function jobToFollow(jobs: readonly JobView[], now: number | undefined): JobView | undefined {
  const failed = jobs.find((job) => job.status === 'failed' && !job.allow_failure)
  const running = jobs.filter((job) => job.status === 'running')
  const started = jobs.filter((job) => job.started_at !== null).sort((a, b) => b.started_at! - a.started_at!)
  return (
    failed ?? running.find((job) => job.id === now) ?? running[0] ?? jobs.find((job) => job.id === now) ?? started[0]
  )
}

/** The log, below the pipeline. */
export function FollowLog({ path, jobs }: { path: string; jobs: readonly JobView[] }) {
  const now = useRef<number | undefined>(undefined)
  const job = jobToFollow(jobs, now.current)
  now.current = job?.id
  if (!job) return <p class="dim">No job has started yet: its log will be here when one does.</p>
  return (
    <>
      <h2 class="row">
        <Status status={job.status} allowed={job.allow_failure} /> <a href={hrefs.job(path, job.id)}>{job.name}</a>
      </h2>
      <LogView key={job.id} jobId={job.id} raw={hrefs.raw(path, job.id)} withAddress={false} />
    </>
  )
}
