/** What one may do with a job, as its status is. */
import { Action } from '../parts/action.js'
import type { JobView } from '../types.js'

interface Props {
  job: Pick<JobView, 'id' | 'name' | 'status'>
  projectId: number
  may: boolean
  onRetried?: (id: number) => void
}

/** The buttons. Where the role does not allow it they are there, and say so. */
export function JobActions({ job, projectId, may, onRetried }: Props) {
  const base = `/api/v4/projects/${projectId}/jobs/${job.id}`
  const not = may ? undefined : 'This is for those who may operate the project.'
  const shared = { not }
  if (job.status === 'manual' || job.status === 'scheduled') {
    return (
      <Action
        {...shared}
        label={job.status === 'manual' ? 'Play' : 'Start now'}
        name={`Play ${job.name}`}
        path={`${base}/play`}
        kind="main"
      />
    )
  }
  if (/^(success|failed|canceled|skipped)$/.test(job.status)) {
    const done = (answer: unknown) => onRetried?.((answer as { id: number }).id)
    return job.status === 'skipped' ? null : (
      <Action {...shared} label="Retry" name={`Retry ${job.name}`} path={`${base}/retry`} onDone={done} />
    )
  }
  return job.status === 'canceling' ? null : (
    <Action {...shared} label="Cancel" name={`Cancel ${job.name}`} path={`${base}/cancel`} kind="danger" />
  )
}
