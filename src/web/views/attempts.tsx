/** The attempts of a job, none of which takes another's place. */
import { useData } from '../data.js'
import { Status } from '../parts/status.js'
import { hrefs } from '../places.js'
import type { JobFields } from './job.js'

interface Props {
  path: string
  projectId: number
  pipelineId: number
  id: number
  name: string
  /** The attempt whose log is shown beside; undefined: none. */
  beside: number | undefined
}

/** A tab for each attempt; nothing where there was only one. */
export function Attempts({ path, projectId, pipelineId, id, name, beside }: Props) {
  const list = useData<JobFields[]>(
    `/api/v4/projects/${projectId}/pipelines/${pipelineId}/jobs?include_retried=true&per_page=100`,
    (change) => change.pipeline_id === pipelineId && /retried|job\.changed/.test(change.kind),
  )
  const attempts = (list.data ?? []).filter((one) => one.name === name).sort((a, b) => a.id - b.id)
  if (attempts.length < 2) return null
  const other = attempts.findLast((one) => one.id !== id)!
  return (
    <nav class="row tabs" aria-label="Attempts">
      {attempts.map((one, i) => (
        <a key={one.id} href={hrefs.job(path, one.id)} aria-current={one.id === id ? 'page' : undefined}>
          <Status status={one.status} allowed={one.allow_failure} bare /> Attempt {i + 1}
        </a>
      ))}
      <a href={beside === undefined ? `${hrefs.job(path, id)}?beside=${other.id}` : hrefs.job(path, id)}>
        {beside === undefined ? `Beside attempt ${attempts.indexOf(other) + 1}` : 'Alone'}
      </a>
    </nav>
  )
}
