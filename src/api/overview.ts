/** Projects with their last pipelines, for a first look at everything: `GET /overview`. */
import { type Actor, can } from '../core/authorize.js'
import type { Core } from '../core/core.js'
import { defined } from '../core/defined.js'
import type { Pipeline } from '../core/pipeline.js'
import type { Project } from '../core/project.js'
import { listPipelines } from '../core/store/pipeline-lists.js'
import { listProjectsBy } from '../core/store/project-lists.js'
import { findProject } from '../core/store/projects.js'
import { recentProjectIds } from '../core/store/recent-projects.js'
import type { Route } from '../http/call.js'
import { toIso } from './convert.js'
import { signedInRoute } from './route.js'

const most = { projects: 60, pipelines: 8 }

export const overviewRoutes: readonly Route[] = [
  signedInRoute('get', '/overview', async ({ core, actor, params }) => {
    const search = params.text('search', { max: 255 })
    const group = params.text('group', { max: 255 })
    const projects = await projectsOf(core, actor, search, group)
    const body = []
    for (const project of projects) {
      const wanted = { projectId: project.id, child: false } as const
      const pipelines = await listPipelines(core.store.read, wanted, { limit: most.pipelines, offset: 0 })
      body.push(toOverview(project, pipelines))
    }
    return { status: 200, body }
  }),
]

/** Those first in which something has happened last; then the newest. */
async function projectsOf(
  core: Core,
  actor: Actor,
  search: string | undefined,
  group: string | undefined,
): Promise<Project[]> {
  const { read } = core.store
  const fits = ({ fullPath }: Project) =>
    (!group || fullPath.startsWith(`${group}/`)) && (!search || fullPath.toLowerCase().includes(search.toLowerCase()))
  const found = new Map<number, Project>()
  for (const id of await recentProjectIds(read)) {
    if (found.size >= most.projects) break
    const project = await findProject(read, id)
    if (project && fits(project) && (await can(core, actor, 'read', project))) found.set(id, project)
  }
  const filter = {
    search: search || (group ? `${group}/` : undefined),
    visibleTo: actor.user.isAdmin === 1 ? undefined : { userId: actor.user.id, now: core.clock.now() },
  }
  const others = await listProjectsBy(read, defined(filter), { limit: most.projects, offset: 0 })
  for (const project of others) {
    if (found.size < most.projects && fits(project)) found.set(project.id, project)
  }
  return [...found.values()]
}

function toOverview(project: Project, pipelines: readonly Pipeline[]): object {
  return {
    id: project.id,
    path: project.fullPath,
    description: project.description,
    visibility: project.visibility,
    pipelines: pipelines.map(toOverviewPipeline),
  }
}

function toOverviewPipeline(pipeline: Pipeline): object {
  return {
    id: pipeline.id,
    status: pipeline.status,
    ref: pipeline.ref,
    source: pipeline.source,
    created_at: toIso(pipeline.createdAt),
  }
}
