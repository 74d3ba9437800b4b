/** The home page: each project with its last pipelines, those first in which something has happened last. */
import { useLocation } from 'preact-iso'
import { own } from '../api.js'
import { useData } from '../data.js'
import { Command, Empty, Loading, Refused, When } from '../parts/bits.js'
import { useTitle } from '../parts/favicon.js'
import { Status } from '../parts/status.js'
import { hrefs } from '../places.js'

interface Overview {
  id: number
  path: string
  description: string
  visibility: string
  pipelines: { id: number; status: string; ref: string; source: string; created_at: string }[]
}

const kinds = new Set([
  'pipeline.created',
  'pipeline.changed',
  'pipeline.deleted',
  'project.created',
  'project.deleted',
  'project.changed',
])

/** The list; `group`: only projects below this path. */
export function Projects({ group }: { group?: string }) {
  const { query, route, path } = useLocation()
  const search = query.q ?? ''
  const asked = new URLSearchParams({ ...(search ? { search } : {}), ...(group ? { group } : {}) })
  const { data, error } = useData<Overview[]>(`${own}/overview?${asked}`, (change) => kinds.has(change.kind))
  const worst = data?.some((one) => one.pipelines[0]?.status === 'failed') ? 'failed' : undefined
  useTitle(group ?? 'Projects', worst)
  return (
    <>
      <div class="head">
        <h1>{group ?? 'Projects'}</h1>
        <input
          type="search"
          aria-label="Find a project"
          placeholder="Find a project"
          value={search}
          onInput={(event) =>
            route(event.currentTarget.value ? `${path}?q=${encodeURIComponent(event.currentTarget.value)}` : path, true)
          }
        />
      </div>
      <Refused error={error} />
      {data === undefined && !error ? <Loading /> : null}
      {data?.length === 0 ? <NoProjects search={search} /> : null}
      <ul class="cards">
        {data?.map((one) => (
          <Card key={one.id} project={one} />
        ))}
      </ul>
    </>
  )
}

function Card({ project }: { project: Overview }) {
  const [last, ...before] = project.pipelines
  return (
    <li class="card">
      <h2>
        <a href={hrefs.project(project.path)}>{project.path}</a>
      </h2>
      {last ? (
        <a class="last" href={hrefs.pipeline(project.path, last.id)}>
          <Status status={last.status} />
          <span class="ref">{last.ref}</span>
          <When time={last.created_at} />
        </a>
      ) : (
        <p class="dim">No pipeline yet: push to it.</p>
      )}
      {before.length > 0 && (
        <span class="history">
          {before.map((one) => (
            <a
              key={one.id}
              href={hrefs.pipeline(project.path, one.id)}
              aria-label={`Pipeline ${one.id}: ${one.status}`}
            >
              <Status status={one.status} bare />
            </a>
          ))}
        </span>
      )}
    </li>
  )
}

function NoProjects({ search }: { search: string }) {
  if (search) return <Empty title={`No project has “${search}” in its path`} />
  return (
    <Empty title="There are no projects yet">
      <p>The first push makes one. In a repository with a .gitlab-ci.yml:</p>
      <Command>{`git push ${location.origin}/GROUP/NAME.git HEAD:main`}</Command>
      <p>or take one over from where it is now:</p>
      <Command>{`signalbox project import https://example.com/GROUP/NAME.git`}</Command>
    </Empty>
  )
}
