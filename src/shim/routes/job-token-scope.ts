/** Whose jobs may use their token in a project: gitlab lib/api/{project_job_token_scope,ci/job_token_scope}.rb. */

import { can } from '../../core/authorize.js'
import type { Core } from '../../core/core.js'
import { allowJobTokens, disallowJobTokens } from '../../core/operations/edit-job-token-scope.js'
import { updateProject } from '../../core/operations/update-project.js'
import { type Allowed, listAllowed } from '../../core/store/job-token-allowances.js'
import { findGroup, findProject } from '../../core/store/projects.js'
import type { Reply, Route } from '../../http/call.js'
import { wrongParameter } from '../../http/params.js'
import { idOf, type ProjectCall, projectRoute } from '../call.js'
import { toGroup, toProject } from '../convert/project.js'
import { notFound } from '../errors.js'
import { pageReply, requestedPage } from '../pages.js'

const administer = { deed: 'administer', signedIn: true } as const
const base = '/projects/:id/job_token_scope'

export const jobTokenScopeRoutes: readonly Route[] = [
  projectRoute('get', base, administer, async ({ project }) => ({
    status: 200,
    // What a project's own tokens may reach is not limited: GitLab's default, and on its way out there.
    body: { inbound_enabled: project.jobTokenScope === 1, outbound_enabled: false },
  })),
  projectRoute('patch', base, administer, async ({ core, project, params }) => {
    const enabled = params.boolean('enabled')
    if (enabled === undefined) throw wrongParameter('enabled', 'is missing')
    await updateProject(core, { projectId: project.id, changes: { jobTokenScope: enabled ? 1 : 0 } })
    return { status: 204 }
  }),
  ...allowlist('project', `${base}/allowlist`, 'target_project_id'),
  ...allowlist('group', `${base}/groups_allowlist`, 'target_group_id'),
]

function allowlist(kind: Allowed['kind'], path: string, target: string): Route[] {
  const named = (call: ProjectCall, id: number) => visible(call, { kind, id }, target)
  return [
    projectRoute('get', path, administer, (call) => list(call, kind)),
    projectRoute('post', path, administer, async (call) => {
      const id = call.params.integer(target, { min: 1 })
      if (id === undefined) throw wrongParameter(target, 'is missing')
      const projectId = call.project.id
      await allowJobTokens(call.core, { projectId, allowed: await named(call, id) })
      return { status: 201, body: { source_project_id: projectId, [target]: id } }
    }),
    projectRoute('delete', `${path}/:target_id`, administer, async (call) => {
      const allowed = await named(call, idOf(call, 'target_id', target))
      await disallowJobTokens(call.core, { projectId: call.project.id, allowed })
      return { status: 204 }
    }),
  ]
}

/** What is to be let in, if the user may see it. Throws `not_found`. */
async function visible({ core, actor }: ProjectCall, allowed: Allowed, what: string): Promise<Allowed> {
  const { read } = core.store
  if (allowed.kind === 'project') {
    const project = await findProject(read, allowed.id)
    if (project && (await can(core, actor, 'read', project))) return allowed
  } else if (actor?.user.isAdmin === 1 && (await findGroup(read, allowed.id))?.kind === 'group') return allowed
  throw notFound(what)
}

/** A project is on its own list. */
async function list(call: ProjectCall, kind: Allowed['kind']): Promise<Reply> {
  const { core, project } = call
  const page = requestedPage(call)
  const all = await listAllowed(core.store.read, project.id, kind)
  const ids = kind === 'project' ? [project.id, ...all] : all
  const rows = await Promise.all(
    ids.slice(page.offset, page.offset + page.limit).map((id) => entityOf(core, { kind, id })),
  )
  return pageReply(call, page, rows, ids.length)
}

async function entityOf({ store, externalUrl }: Core, { kind, id }: Allowed): Promise<object | undefined> {
  if (kind === 'project') {
    const project = await findProject(store.read, id)
    return project && toProject(project, await findGroup(store.read, project.groupId), externalUrl())
  }
  const group = await findGroup(store.read, id)
  return group?.kind === 'group' ? toGroup(group, externalUrl()) : undefined
}
