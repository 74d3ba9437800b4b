/** Plugins: how each does, what it has failed at, and a button to take it out of use. */
import { useEffect } from 'preact/hooks'
import { own } from '../api.js'
import { useData } from '../data.js'
import { Action } from '../parts/action.js'
import { Loading, Refused, Table, When } from '../parts/bits.js'

interface Plugin {
  id: string
  builtin: boolean
  kinds: string[]
  state: string
  health: string
  last_error: string | null
  last_error_at: string | null
  calls: number
  failures: number
}

/** The table. */
export function Plugins() {
  const { data, error, reload } = useData<Plugin[]>(`${own}/plugins`)
  useEffect(() => {
    const timer = setInterval(reload, 5000)
    return () => clearInterval(timer)
  }, [reload])
  if (error && error.status !== 0) return <Refused error={error} />
  if (!data) return <Loading />
  return (
    <Table caption="Plugins" columns={['Plugin', 'Kind', 'Health', 'Calls', 'Failures', 'Last error', 'Actions']}>
      {data.map((plugin) => (
        <tr key={plugin.id}>
          <td class="code">
            {plugin.id} {plugin.builtin && <span class="dim">built in</span>}
          </td>
          <td>{plugin.kinds.join(', ')}</td>
          <td>
            {plugin.health} <span class="dim">{plugin.state}</span>
          </td>
          <td class="figure">{plugin.calls}</td>
          <td class="figure">{plugin.failures}</td>
          <td>
            {plugin.last_error} <When time={plugin.last_error_at} absent="" />
          </td>
          <td>
            {plugin.state === 'disabled' ? (
              <Action
                label="Enable"
                name={`Enable ${plugin.id}`}
                path={`${own}/plugins/${encodeURIComponent(plugin.id)}/enable`}
                onDone={reload}
              />
            ) : (
              <Action
                label="Disable"
                name={`Disable ${plugin.id}`}
                path={`${own}/plugins/${encodeURIComponent(plugin.id)}/disable`}
                onDone={reload}
              />
            )}
          </td>
        </tr>
      ))}
    </Table>
  )
}
