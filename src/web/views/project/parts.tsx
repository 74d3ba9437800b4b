/** The pages of a project beside its pipelines. */
import type { ComponentChildren } from 'preact'
import { useLocation } from 'preact-iso'
import { useData } from '../../data.js'
import { Loading, Refused } from '../../parts/bits.js'
import { useTitle } from '../../parts/favicon.js'
import { Listing } from '../../parts/listing.js'
import { hrefs } from '../../places.js'
import type { Project } from '../../types.js'
import { Nothing } from '../nothing.js'
import { Editor } from './editor.js'
import { ProjectFrame } from './frame.js'
import { deploymentsList, environmentsList, requestsList, schedulesList, settingsLists } from './lists.js'
import { Compare, MergeRequest } from './merge.js'
import { General } from './settings.js'

const settings = [
  ['', 'General'],
  ['variables', 'Variables'],
  ['members', 'Members'],
  ['protection', 'Protected refs'],
  ['tokens', 'Access tokens'],
  ['triggers', 'Triggers'],
  ['hooks', 'Webhooks'],
] as const

interface Props {
  path: string
  part: string
}

/** The page that the part of the address names. */
export default function ProjectPart({ path, part }: Props) {
  const base = `/api/v4/projects/${encodeURIComponent(path)}`
  const project = useData<Project>(base)
  useTitle(`${part.replaceAll(/[/_]/g, ' ')} · ${path}`)
  if (project.error && project.error.status !== 0) return <Refused error={project.error} />
  if (!project.data) return <Loading />
  const ref = project.data.default_branch
  const [, kind = '', thing = ''] = /^([^/]*)\/?(.*)$/s.exec(part) ?? []
  const pages: Record<string, () => ComponentChildren> = {
    environments: () => (
      <>
        <Listing list={environmentsList(base)} />
        <Listing list={deploymentsList(base, path)} />
      </>
    ),
    pipeline_schedules: () => <Listing list={schedulesList(base, path, ref)} />,
    merge_requests: () =>
      thing ? <MergeRequest base={base} path={path} iid={thing} /> : <Listing list={requestsList(base, path)} />,
    compare: () => <Compare base={base} path={path} range={thing} />,
    ci: () => <Editor base={base} branch={ref} />,
    settings: () => <Settings path={path} base={base} project={project.data!} tab={thing} />,
  }
  const page = pages[kind]
  if (!page) return <Nothing />
  return <ProjectFrame path={path}>{page()}</ProjectFrame>
}

function Settings({ path, base, project, tab }: { path: string; base: string; project: Project; tab: string }) {
  const { path: here } = useLocation()
  const lists = settingsLists(base, project.default_branch)
  const root = `${hrefs.project(path)}/-/settings`
  const shown =
    tab === 'protection' ? [lists.protected_branches!, lists.protected_tags!] : lists[tab] ? [lists[tab]] : []
  return (
    <div class="aside">
      <nav class="side" aria-label="Settings">
        {settings.map(([name, label]) => {
          const href = name === '' ? root : `${root}/${name}`
          return (
            <a key={name} href={href} aria-current={decodeURIComponent(here) === href ? 'page' : undefined}>
              {label}
            </a>
          )
        })}
      </nav>
      <div class="stack">
        {shown.map((list) => (
          <Listing key={list.title} list={list} />
        ))}
        {tab === '' ? <General base={base} /> : shown.length === 0 ? <Nothing /> : null}
      </div>
    </div>
  )
}
