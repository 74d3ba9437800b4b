/** A project with its repository and, where missing, its groups. */
import { canInGroup } from '../authorize-groups.js'
import type { Core } from '../core.js'
import { SignalboxError, wrongField } from '../errors.js'
import type { RemoteSource } from '../mirror.js'
import { type Group, isPathSegment, type Project, pathRules } from '../project.js'
import { reservedPart } from '../reserved-paths.js'
import { makeGroup } from '../steps/make-group.js'
import { record } from '../steps/record.js'
import {
  findGroup,
  findGroupByPath,
  findProjectAt,
  getProject,
  insertGroup,
  insertProject,
  lockPath,
} from '../store/projects.js'
import { findUserByName, isPerson, type User } from '../store/users.js'
import type { Tx } from '../store/write.js'
import { fetchMirrorSoon, setMirrorIn } from './fetch-mirror.js'

/** What is said of a project as it is made. */
export interface CreateProjectInput {
  /** `group/subgroup/name`, or `name` in the user's own namespace. */
  path: string
  /** The group by its id, instead of by the path. */
  groupId?: number
  name?: string
  description?: string
  visibility?: Project['visibility']
  defaultBranch?: string
  configPath?: string
  /** The remote repository that it mirrors. */
  mirror?: RemoteSource
  user: User
}

/**
 * Returns the project; its repository is there and empty. Throws `invalid` for a path that cannot be one or is reserved, `conflict` when it
 * is taken, `not_found` for the group, `forbidden` for a namespace of others.
 */
export async function createProject(core: Core, input: CreateProjectInput): Promise<Project> {
  const segments = input.path.split('/')
  const path = segments.pop()!
  for (const segment of [...segments, path]) {
    if (!isPathSegment(segment)) throw wrongField('path', pathRules)
  }
  const project = await core.store.write(async (tx) => {
    const group = await groupFor(core, tx, input, segments)
    const fullPath = `${group.fullPath}/${path}`
    const reserved = reservedPart(fullPath)
    if (reserved !== undefined) throw wrongField('path', `${reserved} is a reserved name`)
    await lockPath(tx, fullPath)
    if (await findGroupByPath(tx, fullPath)) throw new SignalboxError('conflict', `${fullPath} is a group`)
    const made = await insertProject(tx, {
      groupId: group.id,
      path,
      fullPath,
      name: input.name ?? path,
      ...(input.description === undefined ? {} : { description: input.description }),
      ...(input.visibility === undefined ? {} : { visibility: input.visibility }),
      ...(input.defaultBranch === undefined ? {} : { defaultBranch: input.defaultBranch }),
      ...(input.configPath ? { configPath: input.configPath } : {}),
    })
    if (input.mirror) await setMirrorIn(core, tx, made.id, input.mirror)
    await record(core, tx, { kind: 'project.created', projectId: made.id, data: { path: fullPath } })
    return getProject(tx, made.id)
  })
  await core.repositories.create(project)
  if (input.mirror) fetchMirrorSoon(core, project)
  return project
}

async function groupFor(core: Core, tx: Tx, input: CreateProjectInput, segments: string[]): Promise<Group> {
  if (input.groupId !== undefined) {
    const group = await findGroup(tx, input.groupId)
    if (!group) throw new SignalboxError('not_found', `no group ${input.groupId}`)
    return fillable(tx, input.user, group)
  }
  const { user } = input
  const [top = user.username, ...below] = segments
  let group = (await groupAt(tx, top)) ?? (await makeNamespace(core, tx, top, user))
  for (const path of below) {
    const fullPath = `${group.fullPath}/${path}`
    group = (await groupAt(tx, fullPath)) ?? (await makeGroupIn(core, tx, group, path, user))
  }
  return fillable(tx, user, group)
}

/** The group, and if there is none, nobody else takes its path meanwhile. */
async function groupAt(tx: Tx, fullPath: string): Promise<Group | undefined> {
  const found = await findGroupByPath(tx, fullPath)
  if (found) return found
  await lockPath(tx, fullPath)
  return findGroupByPath(tx, fullPath)
}

const notYours = 'this namespace is not yours'

async function fillable(tx: Tx, user: User, group: Group): Promise<Group> {
  if (await canInGroup(tx, user, 'fill', group)) return group
  throw new SignalboxError('forbidden', notYours)
}

/** Whoever asks for it: what bears a user's name is that user's. Other groups at the top are made by administrators. */
async function makeNamespace(core: Core, tx: Tx, path: string, user: User): Promise<Group> {
  const owner = await findUserByName(tx, path)
  const isUsers = owner !== undefined && isPerson(owner)
  if (user.isAdmin === 0 && !(isUsers && owner.id === user.id)) {
    throw new SignalboxError('forbidden', notYours)
  }
  if (isUsers) return insertGroup(tx, namespaceOf(owner))
  return makeGroup(core, tx, { path, fullPath: path, parentId: null }, user.id)
}

async function makeGroupIn(core: Core, tx: Tx, parent: Group, path: string, user: User): Promise<Group> {
  if (!(await canInGroup(tx, user, 'grow', parent))) {
    // Whether there is a group that one does not see is not told either.
    const seen = await canInGroup(tx, user, 'see', parent)
    throw new SignalboxError('forbidden', seen ? `you may not make groups in ${parent.fullPath}` : notYours)
  }
  // As on GitLab; who owns it could not be told by it.
  if (parent.kind === 'user') throw wrongField('path', `the namespace of a user, ${parent.fullPath}, has no groups`)
  const fullPath = `${parent.fullPath}/${path}`
  if (await findProjectAt(tx, fullPath)) throw new SignalboxError('conflict', `${fullPath} is a project`)
  return makeGroup(core, tx, { path, fullPath, parentId: parent.id }, user.id)
}

function namespaceOf(user: User): Parameters<typeof insertGroup>[1] {
  return { path: user.username, fullPath: user.username, parentId: null, kind: 'user', ownerId: user.id }
}
