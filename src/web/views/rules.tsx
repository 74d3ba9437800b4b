/** The jobs of the file that are not in a pipeline, and the rule that decided of each. */
import { own } from '../api.js'
import { useData } from '../data.js'
import { Empty, Loading, Refused, Table } from '../parts/bits.js'

interface Rules {
  decisions: { job: string; stage: string; included: boolean; by: string; detail: string }[]
  errors: string[]
}

/** The list. */
export default function Rules({ id }: { id: number }) {
  const { data, error } = useData<Rules>(`${own}/pipelines/${id}/rules`)
  if (error && error.status !== 0) return <Refused error={error} />
  if (!data) return <Loading />
  const left = data.decisions.filter((one) => !one.included)
  return (
    <section class="stack" aria-label="Jobs left out">
      {data.errors.map((sentence) => (
        <p key={sentence} class="dim">
          {sentence}
        </p>
      ))}
      {left.length === 0 && data.errors.length === 0 ? (
        <Empty title="Every job of the file is in this pipeline" />
      ) : null}
      {left.length > 0 && (
        <Table caption="Jobs left out" columns={['Job', 'Stage', 'Decided by', 'Why']}>
          {left.map((one) => (
            <tr key={one.job}>
              <td>{one.job}</td>
              <td>{one.stage}</td>
              <td class="code">{one.by}</td>
              <td class="wrap">{one.detail}</td>
            </tr>
          ))}
        </Table>
      )}
    </section>
  )
}
