/** What all pages of a project share: its name, and the way to the others. */
import type { ComponentChildren } from 'preact'
import { useLocation } from 'preact-iso'
import { hrefs } from '../../places.js'

const parts = [
  ['', 'Pipelines'],
  ['environments', 'Environments'],
  ['pipeline_schedules', 'Schedules'],
  ['merge_requests', 'Merge requests'],
  ['ci/editor', 'Editor'],
  ['settings', 'Settings'],
] as const

/** The frame; `actions` stand beside the name. */
export function ProjectFrame({
  path,
  actions,
  children,
}: {
  path: string
  actions?: ComponentChildren
  children: ComponentChildren
}) {
  const { path: here } = useLocation()
  const base = hrefs.project(path)
  const part = decodeURIComponent(here)
    .slice(base.length)
    .replace(/^\/-\//, '')
  const current = parts.find(([name]) => name !== '' && part.startsWith(name))?.[0] ?? ''
  return (
    <>
      <div class="head">
        <h1>{path}</h1>
        <span class="row">{actions}</span>
      </div>
      <nav class="tabs" aria-label="Project">
        {parts.map(([name, label]) => (
          <a
            key={name}
            href={name === '' ? base : `${base}/-/${name}`}
            aria-current={name === current ? 'page' : undefined}
          >
            {label}
          </a>
        ))}
      </nav>
      {children}
    </>
  )
}
