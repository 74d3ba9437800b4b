/** For administrators: what was done by whom, what has been used, and the settings in force. */
import { useState } from 'preact/hooks'
import { own } from '../api.js'
import { useData } from '../data.js'
import { Action } from '../parts/action.js'
import { Empty, Loading, Refused, Table, When } from '../parts/bits.js'
import { hrefs } from '../places.js'
import { duration } from '../time.js'

interface Entry {
  id: number
  at: string
  kind: string
  user: { username: string } | null
  project_id: number | null
  data: Record<string, unknown>
}

const perPage = 100

/** The audit log, the newest first. */
export function Audit() {
  const [before, setBefore] = useState<number>()
  const [kind, setKind] = useState('')
  const [whole, setWhole] = useState<{ ok?: boolean; valid?: boolean; entries?: number; problem?: unknown }>()
  const asked = new URLSearchParams({
    limit: String(perPage),
    ...(kind ? { kind } : {}),
    ...(before ? { before: String(before) } : {}),
  })
  const { data, error } = useData<Entry[]>(`${own}/audit?${asked}`)
  if (error && error.status !== 0) return <Refused error={error} />
  return (
    <section class="stack" aria-label="Audit">
      <div class="head">
        <input
          type="search"
          aria-label="Kind"
          placeholder="Kind, such as token.created"
          value={kind}
          onChange={(event) => {
            setKind(event.currentTarget.value.trim())
            setBefore(undefined)
          }}
        />
        <ActionOfGet onDone={setWhole} />
      </div>
      {whole && <pre class="code panel">{JSON.stringify(whole, null, 2)}</pre>}
      {!data ? <Loading /> : null}
      {data?.length === 0 ? <Empty title="No entry" /> : null}
      {data && data.length > 0 ? (
        <Table caption="Audit log" columns={['When', 'Who', 'What', 'Details']}>
          {data.map((entry) => (
            <tr key={entry.id}>
              <td>
                <When time={entry.at} />
              </td>
              <td>{entry.user?.username ?? <span class="dim">the server</span>}</td>
              <td class="code">{entry.kind}</td>
              <td class="wrap">
                {Object.entries(entry.data).map(([name, value]) => (
                  <span key={name} class="datum">
                    <span class="dim">{name}</span> {typeof value === 'string' ? value : JSON.stringify(value)}
                  </span>
                ))}
              </td>
            </tr>
          ))}
        </Table>
      ) : null}
      <p class="row">
        {before && (
          <button type="button" onClick={() => setBefore(undefined)}>
            Newest
          </button>
        )}
        {data?.length === perPage && (
          <button type="button" onClick={() => setBefore(data.at(-1)!.id)}>
            Older
          </button>
        )}
      </p>
    </section>
  )
}

function ActionOfGet({ onDone }: { onDone: (answer: never) => void }) {
  return (
    <Action
      label="Is it whole?"
      path={`${own}/audit/verify`}
      method="GET"
      onDone={(answer) => onDone(answer as never)}
    />
  )
}

interface Usage {
  month: string
  namespaces: {
    id: number
    path: string
    minutes: number
    limit: number | null
    warning: string | null
    projects: { id: number; path: string; minutes: number; duration_s: number; jobs: number }[]
  }[]
}

/** What instance runners have done for whom, a month. */
export function UsageOf() {
  const [month, setMonth] = useState('')
  const { data, error } = useData<Usage>(`${own}/usage${month ? `?month=${month}` : ''}`)
  const most = Math.max(
    0.001,
    ...(data?.namespaces.flatMap((one) => one.projects.map((project) => project.minutes)) ?? []),
  )
  return (
    <section class="stack" aria-label="Usage">
      <label>
        Month
        <input
          type="month"
          value={month || data?.month || ''}
          onChange={(event) => setMonth(event.currentTarget.value)}
        />
      </label>
      <Refused error={error} />
      {!data && !error ? <Loading /> : null}
      {data?.namespaces.length === 0 ? <Empty title="Nothing was used in this month" /> : null}
      {data && data.namespaces.length > 0 ? (
        <Table caption="Usage" columns={['Project', 'Minutes', 'Limit', 'Jobs', 'Ran', 'Share']}>
          {data.namespaces.flatMap((space) =>
            space.projects.map((project) => (
              <tr key={project.id}>
                <td>
                  <a href={hrefs.project(project.path)}>{project.path}</a>
                </td>
                <td class="figure">{project.minutes.toFixed(2)}</td>
                <td class="figure">
                  {space.limit === null ? 'none' : `${space.minutes.toFixed(0)} of ${space.limit} in ${space.path}`}
                </td>
                <td class="figure">{project.jobs}</td>
                <td class="figure">{duration(project.duration_s * 1000)}</td>
                <td>
                  <meter
                    min={0}
                    max={most}
                    value={project.minutes}
                    aria-label={`${project.minutes.toFixed(2)} minutes`}
                  />
                </td>
              </tr>
            )),
          )}
        </Table>
      ) : null}
    </section>
  )
}

interface Setting {
  name: string
  value: string | number | boolean | null
  usual: string | number | boolean | null
}

const shown = ({ name }: Setting, value: Setting['value']) =>
  value === null || value === ''
    ? '–'
    : typeof value === 'number' && /_ms$/.test(name)
      ? duration(value)
      : typeof value === 'number'
        ? value.toLocaleString()
        : String(value)

/** The settings in force: those first that somebody has changed. */
export function Settings() {
  const { data, error } = useData<Setting[]>(`${own}/settings`)
  if (error && error.status !== 0) return <Refused error={error} />
  if (!data) return <Loading />
  const changed = (one: Setting) => one.usual !== null && one.usual !== one.value
  return (
    <Table caption="Settings in force" columns={['Setting', 'Value', 'Usually']}>
      {[...data]
        .sort((a, b) => Number(changed(b)) - Number(changed(a)))
        .map((one) => (
          <tr key={one.name}>
            <td class="code">{one.name}</td>
            <td class="wrap">{changed(one) ? <strong>{shown(one, one.value)}</strong> : shown(one, one.value)}</td>
            <td class="dim">{one.usual === null ? '' : shown(one, one.usual)}</td>
          </tr>
        ))}
    </Table>
  )
}

const views = { audit: Audit, usage: UsageOf, settings: Settings }

/** The one of them that a tab names. */
export default function Overseen({ tab }: { tab: keyof typeof views }) {
  const View = views[tab]
  return <View />
}
