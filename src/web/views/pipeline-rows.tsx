/** Pipelines as a table. */
import { Table, Took, When } from '../parts/bits.js'
import { Status } from '../parts/status.js'
import { hrefs } from '../places.js'
import type { PipelineRow } from '../types.js'

/** A row for each pipeline; nothing where there is none. */
export function PipelineRows({ path, rows }: { path: string; rows: PipelineRow[] }) {
  if (rows.length === 0) return null
  return (
    <Table caption="Pipelines" columns={['Status', 'Pipeline', 'Branch or tag', 'Commit', 'Source', 'Made', 'Took']}>
      {rows.map((row) => (
        <tr key={row.id}>
          <td>
            <Status status={row.status} />
          </td>
          <td>
            <a href={hrefs.pipeline(path, row.id)}>{row.name ? `#${row.id} ${row.name}` : `#${row.id}`}</a>
          </td>
          <td class="ref">{row.ref}</td>
          <td>
            <a class="code" href={`${hrefs.project(path)}/-/commit/${row.sha}`}>
              {row.sha.slice(0, 8)}
            </a>
          </td>
          <td>{row.source}</td>
          <td>
            <When time={row.created_at} />
          </td>
          <td>
            <Took
              from={row.created_at}
              to={/success|failed|canceled|skipped/.test(row.status) ? row.updated_at : null}
            />
          </td>
        </tr>
      ))}
    </Table>
  )
}
