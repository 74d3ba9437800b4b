/** Protected branches and tags: https://docs.gitlab.com/api/protected_branches/, https://docs.gitlab.com/api/protected_tags/ */
import { defined } from '../../core/defined.js'
import { SignalboxError } from '../../core/errors.js'
import { editProtection, protectRef, unprotectRef } from '../../core/operations/edit-protection.js'
import { type Protection, type ProtectionLevel, protectionLevels, protectionsOf } from '../../core/protection.js'
import type { Reply, Route } from '../../http/call.js'
import { type Params, wrongParameter } from '../../http/params.js'
import { type ProjectCall, projectRoute } from '../call.js'
import { toProtectedBranch, toProtectedTag } from '../convert/protection.js'
import { notFound } from '../errors.js'
import { pageReply, requestedPage } from '../pages.js'

const administer = { deed: 'administer', signedIn: true } as const
const branches = '/projects/:id/protected_branches'
const tags = '/projects/:id/protected_tags'

export const protectionRoutes: readonly Route[] = [
  projectRoute('get', branches, administer, (call) => list(call, 'branch')),
  projectRoute('get', `${branches}/:name`, administer, (call) => show(call, 'branch')),
  projectRoute('post', branches, administer, protectBranch),
  projectRoute('patch', `${branches}/:name`, administer, changeBranch),
  projectRoute('delete', `${branches}/:name`, administer, (call) => unprotect(call, 'branch')),
  projectRoute('get', tags, administer, (call) => list(call, 'tag')),
  projectRoute('get', `${tags}/:name`, administer, (call) => show(call, 'tag')),
  projectRoute('post', tags, administer, protectTag),
  projectRoute('delete', `${tags}/:name`, administer, (call) => unprotect(call, 'tag')),
]

const convert = { branch: toProtectedBranch, tag: toProtectedTag }

/** By name; `search` looks in them. */
async function list(call: ProjectCall, kind: Protection['kind']): Promise<Reply> {
  const page = requestedPage(call)
  const sought = call.params.text('search', { max: 255 }) ?? ''
  const all = protectionsOf(call.project).filter((one) => one.kind === kind && one.name.includes(sought))
  const body = all.slice(page.offset, page.offset + page.limit).map(convert[kind])
  return pageReply(call, page, body, all.length)
}

async function show(call: ProjectCall, kind: Protection['kind']): Promise<Reply> {
  const name = call.path('name')
  const found = protectionsOf(call.project).find((one) => one.kind === kind && one.name === name)
  if (!found) throw notFound()
  return { status: 200, body: convert[kind](found) }
}

/** Without levels maintainers may push and merge. */
async function protectBranch({ core, project, params }: ProjectCall): Promise<Reply> {
  const protection = await told(() =>
    protectRef(core, project.id, {
      kind: 'branch',
      name: params.requiredText('name', { max: 255 }),
      push: levelFrom(params, 'push_access_level', 'allowed_to_push') ?? 40,
      merge: levelFrom(params, 'merge_access_level', 'allowed_to_merge') ?? 40,
      force: params.boolean('allow_force_push') ?? false,
    }),
  )
  return { status: 201, body: toProtectedBranch(protection) }
}

async function changeBranch(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const changes = defined({
    push: levelFrom(params, 'push_access_level', 'allowed_to_push'),
    merge: levelFrom(params, 'merge_access_level', 'allowed_to_merge'),
    force: params.boolean('allow_force_push'),
  })
  if (Object.keys(changes).length === 0) {
    throw wrongParameter(
      'allow_force_push, allowed_to_push, allowed_to_merge',
      'are missing, at least one parameter must be provided',
    )
  }
  const named = { kind: 'branch', name: call.path('name') } as const
  const protection = await told(() => editProtection(core, project.id, { ...named, ...changes }))
  return { status: 200, body: toProtectedBranch(protection) }
}

/** Without a level maintainers may make such tags. */
async function protectTag({ core, project, params }: ProjectCall): Promise<Reply> {
  const push = levelFrom(params, 'create_access_level', 'allowed_to_create') ?? 40
  const name = params.requiredText('name', { max: 255 })
  const tag = { kind: 'tag', name, push, merge: push, force: false } as const
  const protection = await told(() => protectRef(core, project.id, tag))
  return { status: 201, body: toProtectedTag(protection) }
}

async function unprotect(call: ProjectCall, kind: Protection['kind']): Promise<Reply> {
  await told(() => unprotectRef(call.core, call.project.id, { kind, name: call.path('name') }))
  return { status: 204 }
}

/**
 * A level by itself, or as a list of who may, of which the lowest level counts. Single users and groups cannot be named here
 * (GitLab’s Premium): they are refused, since leaving them out would let others in.
 */
function levelFrom(params: Params, single: string, several: string): ProtectionLevel | undefined {
  const given = [params.integer(single)]
  for (const entry of params.maps(several) ?? []) {
    if (entry.boolean('_destroy')) continue
    if (entry.has('user_id') || entry.has('group_id') || entry.has('deploy_key_id')) {
      throw wrongParameter(several, 'can name access levels only')
    }
    given.push(entry.integer('access_level'))
  }
  const found = given.filter((level) => level !== undefined)
  if (found.length === 0) return undefined
  for (const level of found) {
    if (!(protectionLevels as readonly number[]).includes(level))
      throw wrongParameter(single, 'does not have a valid value')
  }
  return Math.min(...found) as ProtectionLevel
}

async function told<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'not_found') throw notFound()
    throw error
  }
}
