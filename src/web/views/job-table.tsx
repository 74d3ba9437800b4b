/** The jobs of a pipeline as a table: for keyboards and screen readers, and for whoever likes rows. */
import { Table, Took } from '../parts/bits.js'
import { Status } from '../parts/status.js'
import { hrefs } from '../places.js'
import type { JobView, Needs } from '../types.js'
import { JobActions } from './job-actions.js'

interface Props {
  path: string
  jobs: readonly JobView[]
  needs: Needs
  may: boolean
  projectId: number
}

/** The table. */
export function JobTable({ path, jobs, needs, may, projectId }: Props) {
  const names = new Map(jobs.map((job) => [job.id, job.name]))
  return (
    <Table caption="Jobs" columns={['Status', 'Job', 'Stage', 'Needs', 'Waited', 'Ran', 'Runner', 'Actions']}>
      {jobs.map((job) => (
        <tr key={job.id}>
          <td>
            <Status status={job.status} allowed={job.allow_failure} />
          </td>
          <td class="wrap">
            <a href={hrefs.job(path, job.id)}>{job.name}</a>
            {job.status === 'failed' && job.failure_message ? <div class="dim">{job.failure_message}</div> : null}
          </td>
          <td>{job.stage}</td>
          <td class="dim">{(needs[job.id] ?? []).map((id) => names.get(id) ?? id).join(', ')}</td>
          <td>
            <Took from={job.queued_at} to={job.started_at ?? job.finished_at} />
          </td>
          <td>
            <Took from={job.started_at} to={job.finished_at} />
          </td>
          <td>{job.runner ?? ''}</td>
          <td>
            <JobActions job={job} projectId={projectId} may={may} />
          </td>
        </tr>
      ))}
    </Table>
  )
}
