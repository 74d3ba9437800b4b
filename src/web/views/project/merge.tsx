/** A merge request, and what lies between two commits. */
import { useData } from '../../data.js'
import { Loading, Refused, Table, When } from '../../parts/bits.js'
import type { Row } from '../../parts/listing.js'
import { hrefs } from '../../places.js'
import type { PipelineRow } from '../../types.js'
import { PipelineRows } from '../pipeline-rows.js'

/** The request with its pipelines. */
export function MergeRequest({ base, path, iid }: { base: string; path: string; iid: string }) {
  const at = `${base}/merge_requests/${encodeURIComponent(iid)}`
  const request = useData<Row>(at, (change) => /request/.test(change.kind))
  const pipelines = useData<PipelineRow[]>(`${at}/pipelines`, (change) => change.kind.startsWith('pipeline.'))
  if (request.error && request.error.status !== 0) return <Refused error={request.error} />
  if (!request.data) return <Loading />
  const { title, state, source_branch: from, target_branch: into, author, created_at: made, description } = request.data
  return (
    <>
      <h2>
        !{iid} {title}
      </h2>
      <p class="facts">
        <span class="tag">{state}</span>
        <span class="ref">
          {from} → {into}
        </span>
        <span>{author?.username}</span>
        <When time={made} />
      </p>
      {description && <p class="prose">{description}</p>}
      {pipelines.data?.length ? (
        <PipelineRows path={path} rows={pipelines.data} />
      ) : (
        <p class="dim">No pipeline of it yet.</p>
      )}
    </>
  )
}

/** `FROM...TO`: the commits of the one that the other lacks, and the files that differ. */
export function Compare({ base, path, range }: { base: string; path: string; range: string }) {
  const [from = '', to = ''] = range.split(/\.{3}/)
  const asked = new URLSearchParams({ from, to })
  const { data, error } = useData<Row>(`${base}/repository/compare?${asked}`)
  if (error && error.status !== 0) return <Refused error={error} />
  if (!data) return <Loading />
  return (
    <>
      <h2 class="ref">
        {from} → {to}
      </h2>
      <Table caption="Commits" columns={['Commit', 'Title', 'By', 'When']}>
        {data.commits.map((commit: Row) => (
          <tr key={commit.id}>
            <td>
              <a class="code" href={`${hrefs.project(path)}/-/commit/${commit.id}`}>
                {commit.short_id}
              </a>
            </td>
            <td class="wrap">{commit.title}</td>
            <td>{commit.author_name}</td>
            <td>
              <When time={commit.created_at} />
            </td>
          </tr>
        ))}
      </Table>
      {data.diffs.map((diff: Row) => (
        <details key={`${diff.old_path} ${diff.new_path}`} class="panel wide">
          <summary class="code">{diff.new_path}</summary>
          <pre class="code">{diff.diff}</pre>
        </details>
      ))}
    </>
  )
}
