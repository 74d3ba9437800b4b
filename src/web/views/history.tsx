/** What has become of a job since it was made: each committed fact, with who or what caused it. */
import { own } from '../api.js'
import { useData } from '../data.js'
import { Loading, Refused, Table } from '../parts/bits.js'

interface Fact {
  id: number
  at: string
  kind: string
  runner_id: number | null
  data: Record<string, string | number | boolean | null>
}

/** The list, oldest first. */
export function History({ id }: { id: number }) {
  const { data, error } = useData<Fact[]>(`${own}/jobs/${id}/events`, (change) => change.job_id === id)
  if (error) return <Refused error={error} />
  if (!data) return <Loading />
  return (
    <Table caption="History" columns={['Time', 'What', 'Details']}>
      {data.map((fact) => (
        <tr key={`${fact.id} ${fact.kind}`}>
          <td class="figure">
            <time dateTime={fact.at} title={fact.at}>
              {new Date(fact.at).toLocaleTimeString(undefined, {
                hour12: false,
                fractionalSecondDigits: 3,
              } as Intl.DateTimeFormatOptions)}
            </time>
          </td>
          <td class="code">{fact.kind}</td>
          <td class="wrap">
            {fact.runner_id === null ? '' : `runner ${fact.runner_id} `}
            {Object.entries(fact.data).map(([name, value]) => (
              <span key={name} class="datum">
                <span class="dim">{name}</span> {String(value)}
              </span>
            ))}
          </td>
        </tr>
      ))}
    </Table>
  )
}
