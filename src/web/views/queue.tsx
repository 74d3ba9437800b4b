/** The queue: what waits for a runner, in the order in which it is taken, and why nothing takes it. */
import { own } from '../api.js'
import { useData } from '../data.js'
import { Empty, Loading, Refused, Table, When } from '../parts/bits.js'
import { useTitle } from '../parts/favicon.js'
import { hrefs } from '../places.js'

interface Waiting {
  id: number
  name: string
  pipeline_id: number
  project_path: string
  priority: number
  queued_at: string
  tags: string[]
  /** How many runners that are online could take it. */
  fitting: number
  reason: string
}

interface Answer {
  total: number
  jobs: Waiting[]
}

/** The view. */
export function Queue() {
  const { data, error } = useData<Answer>(`${own}/queue`, (change) => /^(job|lease|runner)\./.test(change.kind))
  useTitle('Queue', data?.jobs.some((job) => job.fitting === 0) ? 'failed' : undefined)
  const classes = new Map<string, number>()
  for (const job of data?.jobs ?? []) {
    const key = job.tags.join(', ') || 'no tags'
    classes.set(key, (classes.get(key) ?? 0) + 1)
  }
  return (
    <>
      <div class="head">
        <h1>Queue</h1>
        {data && <span class="dim">{data.total === 1 ? '1 job waits' : `${data.total} jobs wait`}</span>}
      </div>
      <Refused error={error} />
      {!data && !error ? <Loading /> : null}
      {data?.total === 0 ? (
        <Empty title="Nothing waits for a runner">
          <p>
            Each job has been taken the instant it could be. What jobs waited is in <a href="/-/fleet">the fleet</a>.
          </p>
        </Empty>
      ) : null}
      {classes.size > 0 && (
        <p class="facts">
          {[...classes].map(([name, count]) => (
            <span key={name}>
              <span class="tag">{name}</span> {count}
            </span>
          ))}
        </p>
      )}
      {data && data.jobs.length > 0 && (
        <Table
          caption="Jobs in the order in which they are taken"
          columns={['Place', 'Job', 'Project', 'Asks for', 'Waits since', 'Why']}
        >
          {data.jobs.map((job, i) => (
            <tr key={job.id}>
              <td class="figure">{i + 1}</td>
              <td>
                <a href={hrefs.job(job.project_path, job.id)}>{job.name}</a>
                {job.priority !== 0 && <span class="tag">priority {job.priority}</span>}
              </td>
              <td>
                <a href={hrefs.pipeline(job.project_path, job.pipeline_id)}>{job.project_path}</a>
              </td>
              <td>
                {job.tags.length > 0 ? (
                  job.tags.map((tag) => (
                    <span key={tag} class="tag">
                      {tag}
                    </span>
                  ))
                ) : (
                  <span class="dim">no tags</span>
                )}
              </td>
              <td>
                <When time={job.queued_at} />
              </td>
              <td class={job.fitting === 0 ? 'bad wrap' : 'wrap'}>
                {job.fitting === 0 ? <strong>✕ never, as things are: </strong> : null}
                {job.reason}
              </td>
            </tr>
          ))}
        </Table>
      )}
    </>
  )
}
