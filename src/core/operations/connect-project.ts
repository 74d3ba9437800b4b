/**
 * A repository on a forge becomes a project in one step: the token's rights are looked at first, then the project mirrors the
 * repository, the forge tells of pushes and requests by a webhook, and commits there show what became of them.
 */
import { can } from '../authorize.js'
import type { Core } from '../core.js'
import { SignalboxError, wrongField } from '../errors.js'
import {
  type ForgeAccess,
  type ForgeConnection,
  type ForgeKind,
  type ForgeRepository,
  type ForkPolicy,
  forgeRefusal,
} from '../forge.js'
import { parseRemote, type RemoteSource } from '../mirror.js'
import type { Project } from '../project.js'
import { record } from '../steps/record.js'
import { findDeliverySecret, saveDeliverySecret } from '../store/deliveries.js'
import {
  deleteConnection,
  findConnection,
  findConnectionOf,
  saveConnection,
  updateConnection,
} from '../store/forges.js'
import { findProjectByPath, getProject } from '../store/projects.js'
import type { User } from '../store/users.js'
import type { Tx } from '../store/write.js'
import { mintToken } from '../tokens/token.js'
import { createProject } from './create-project.js'
import { deleteProject } from './delete-project.js'
import { deliverySecret } from './edit-delivery-secret.js'
import { setMirrorIn } from './fetch-mirror.js'

/** What whoever connects says. */
export interface ConnectInput {
  /** As people copy it. */
  url: string
  /** Undefined: found out by the host. */
  kind?: ForgeKind | undefined
  token: string
  /** Of the project; undefined: as the repository is called there. */
  path?: string | undefined
  forks?: ForkPolicy | undefined
  jobStatuses?: boolean | undefined
  user: User
}

/**
 * Safe to repeat: what is there is mended. Throws `invalid` for an address that is none, a forge that does not take the token,
 * and rights that it lacks (nothing has changed then); `conflict` for a project that is something else, or a repository that another
 * project has; `unavailable` for a forge that does not answer; and what `createProject` throws.
 */
export async function connectProject(
  core: Core,
  input: ConnectInput,
): Promise<{ project: Project; connection: ForgeConnection; made: boolean }> {
  const { access, found } = await look(core, input)
  const source = sourceOf(found, access.token)
  const path = input.path ?? found.fullName
  const known = await existing(core, path, access, input.user)
  const project = known ?? (await createProject(core, { path, mirror: source, user: input.user }))
  const before = await findConnection(core.store.read, project.id)
  try {
    await core.store.write((tx) => insert(core, tx, project, { access, source, input }))
    await putHook(core, project.id, access)
  } catch (error) {
    // What this call has made goes; what was there stays, and `check` mends it.
    if (!known) await deleteProject(core, { projectId: project.id, userId: input.user.id })
    else if (!before) await core.store.write((tx) => forget(core, tx, project.id))
    throw forgeRefusal(error)
  }
  const connection = (await findConnection(core.store.read, project.id))!
  return { project: await getProject(core.store.read, project.id), connection, made: !known }
}

/** Step: the project has no forge any more. Its mirror is not touched. */
export async function forget(core: Core, tx: Tx, projectId: number): Promise<void> {
  await deleteConnection(tx, projectId)
  await saveDeliverySecret(tx, projectId, null)
  await record(core, tx, { kind: 'project.changed', projectId, data: { connection: null } })
}

async function look(core: Core, input: ConnectInput): Promise<{ access: ForgeAccess; found: ForgeRepository }> {
  if (/[^\x21-\x7e]/.test(input.token) || input.token === '')
    throw wrongField('forge_token', 'is not one that a forge gives')
  try {
    const place = await core.forges.locate(input.url, input.kind)
    const found = await core.forges.inspect({ ...place, remoteId: '', token: input.token })
    requireRights(found)
    const access = { ...place, repository: found.fullName, remoteId: found.remoteId, token: input.token }
    return { access, found }
  } catch (error) {
    throw error instanceof SignalboxError ? error : forgeRefusal(error)
  }
}

/** Throws `invalid` with one sentence for each right that is missing. */
function requireRights({ missing }: ForgeRepository): void {
  if (missing.length === 0) return
  const message = `lacks rights on the forge: ${missing.join('; ')}`
  throw new SignalboxError('invalid', `the token ${message}`, { details: { field: 'forge_token', message, missing } })
}

/** Where git fetches from, with the token in place of a password. */
export function sourceOf({ cloneUrl, gitUser }: ForgeRepository, token: string): RemoteSource {
  return { ...parseRemote(cloneUrl), username: gitUser, password: token }
}

/** The project of the path, if it may become the repository's. */
async function existing(core: Core, path: string, access: ForgeAccess, user: User): Promise<Project | undefined> {
  const { read } = core.store
  const project = await findProjectByPath(read, path)
  const other = await findConnectionOf(read, access)
  if (other && other.projectId !== project?.id) {
    throw new SignalboxError('conflict', `the repository is connected to project ${other.projectId} already`)
  }
  if (!project) return undefined
  const actor = { user, scopes: new Set<string>() }
  if (!(await can(core, actor, 'read', project))) throw new SignalboxError('conflict', 'this path is taken')
  if (!(await can(core, actor, 'administer', project))) {
    throw new SignalboxError('forbidden', 'a project is connected by those who may administer it')
  }
  const mine = await findConnection(read, project.id)
  if (mine && mine.remoteId !== access.remoteId) {
    throw new SignalboxError(
      'conflict',
      `the project is connected to ${mine.baseUrl}/${mine.repository}: disconnect it first`,
    )
  }
  // Fetching would take away the branches that people have pushed here.
  if (project.mirrored === 0) {
    throw new SignalboxError('conflict', `${project.fullPath} is a project with a repository of its own`)
  }
  return project
}

interface Connecting {
  access: ForgeAccess
  source: RemoteSource
  input: ConnectInput
}

async function insert(core: Core, tx: Tx, project: Project, { access, source, input }: Connecting): Promise<void> {
  const { user } = input
  const before = await findConnection(tx, project.id)
  const { kind, baseUrl, repository, remoteId } = access
  await saveConnection(tx, {
    ...{ projectId: project.id, kind, baseUrl, repository, remoteId, hookId: before?.hookId ?? null },
    forks: input.forks ?? before?.forks ?? 'approve',
    jobStatuses: Number(input.jobStatuses ?? before?.jobStatuses === 1),
    ...{ userId: user.id, error: null, failures: 0, pausedUntil: 0 },
    createdAt: before?.createdAt ?? tx.now,
    sealed: core.keys.seal(Buffer.from(access.token)),
  })
  await setMirrorIn(core, tx, project.id, source)
  const known = await findDeliverySecret(tx, project.id)
  const secret = known?.secret ?? core.keys.seal(Buffer.from(mintToken('hook', tx.random)))
  await saveDeliverySecret(tx, project.id, { secret, userId: user.id })
  const data = { connection: `${baseUrl}/${repository}`, by: user.id }
  await record(core, tx, { kind: 'project.changed', projectId: project.id, data })
}

/** Has the forge tell us of what happens. Returns whether there was something to mend. */
export async function putHook(core: Core, projectId: number, access: ForgeAccess): Promise<boolean> {
  const { read } = core.store
  const connection = await findConnection(read, projectId)
  const secret = await deliverySecret(core, projectId)
  if (!connection || secret === undefined) throw new SignalboxError('not_found', 'the project is not connected')
  const url = `${core.externalUrl()}/api/signalbox/v1/projects/${projectId}/hooks/${access.kind}`
  const { id, repaired } = await core.forges.putHook(access, { url, secret, id: connection.hookId })
  if (id !== connection.hookId) await core.store.write((tx) => updateConnection(tx, projectId, { hookId: id }))
  return repaired
}

/** What a request to the project's forge needs. */
export function accessOf(core: Core, connection: ForgeConnection): ForgeAccess {
  const { kind, baseUrl, repository, remoteId, sealed } = connection
  return { kind, baseUrl, repository, remoteId, token: core.keys.open(sealed).toString('utf8') }
}
