/** Looks whether what a connection needs is all there, and mends what is not. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { type ForgeAccess, type ForgeConnection, ForgeError, type ForkPolicy, forgeRefusal } from '../forge.js'
import type { Project } from '../project.js'
import { record } from '../steps/record.js'
import { findConnection, updateConnection } from '../store/forges.js'
import { getProject } from '../store/projects.js'
import { SealError } from '../tokens/keys.js'
import { accessOf, putHook, sourceOf } from './connect-project.js'
import { fetchMirror, setMirrorIn } from './fetch-mirror.js'

/** What a check has found. */
export interface ConnectionReport {
  connection: ForgeConnection
  /** One sentence for each right that the token lacks. */
  missing: string[]
  /** One sentence for each thing that was mended. */
  repaired: string[]
  /** What is wrong and could not be mended. */
  broken: string[]
}

/** What may be changed of a connection on the way. */
export interface ConnectionChange {
  token?: string | undefined
  forks?: ForkPolicy | undefined
  jobStatuses?: boolean | undefined
}

/** Throws `not_found` for a project that is not connected, and `unavailable` for a forge that does not answer. */
export async function checkConnection(
  core: Core,
  projectId: number,
  change: ConnectionChange = {},
): Promise<ConnectionReport> {
  const known = await findConnection(core.store.read, projectId)
  if (!known) throw new SignalboxError('not_found', 'the project is not connected to a forge')
  const access = { ...accessFor(core, known, change.token) }
  const report = { missing: [] as string[], repaired: [] as string[], broken: [] as string[] }
  try {
    const found = await core.forges.inspect(access)
    report.missing = found.missing
    if (found.fullName !== known.repository) report.repaired.push(`the repository is called ${found.fullName} now`)
    access.repository = found.fullName
    await save(core, known, access, { change, source: sourceOf(found, access.token), missing: found.missing })
    if (found.missing.length === 0 && (await putHook(core, projectId, access))) {
      report.repaired.push('the webhook was made anew or mended')
    }
  } catch (error) {
    if (!(error instanceof ForgeError)) throw error
    if (error.trouble === 'away' || error.trouble === 'limited') throw forgeRefusal(error)
    report.broken.push(error.message)
    await core.store.write((tx) => updateConnection(tx, projectId, { error: error.message }))
  }
  if (report.broken.length === 0)
    report.broken.push(...(await fetched(core, await getProject(core.store.read, projectId))))
  return { connection: (await findConnection(core.store.read, projectId))!, ...report }
}

function accessFor(core: Core, known: ForgeConnection, token: string | undefined): ForgeAccess {
  if (token !== undefined) return { ...accessOfPlace(known), token }
  try {
    return accessOf(core, known)
  } catch (error) {
    if (!(error instanceof SealError)) throw error
    throw new SignalboxError('conflict', 'the token cannot be read any more: give one', { cause: error })
  }
}

const accessOfPlace = ({ kind, baseUrl, repository, remoteId }: ForgeConnection) => ({
  kind,
  baseUrl,
  repository,
  remoteId,
})

interface Found {
  change: ConnectionChange
  source: ReturnType<typeof sourceOf>
  missing: string[]
}

/** A token that lacks rights is not taken in place of one that is there. */
function save(
  core: Core,
  known: ForgeConnection,
  access: ForgeAccess,
  { change, source, missing }: Found,
): Promise<void> {
  const { projectId } = known
  const takesToken = change.token !== undefined && missing.length === 0
  return core.store.write(async (tx) => {
    await updateConnection(tx, projectId, {
      repository: access.repository,
      ...(takesToken ? { sealed: core.keys.seal(Buffer.from(access.token)) } : {}),
      ...(change.forks === undefined ? {} : { forks: change.forks }),
      ...(change.jobStatuses === undefined ? {} : { jobStatuses: Number(change.jobStatuses) }),
      error: missing.length === 0 ? null : `the token lacks rights: ${missing.join('; ')}`,
      failures: 0,
      pausedUntil: 0,
    })
    if (takesToken || access.repository !== known.repository) await setMirrorIn(core, tx, projectId, source)
    await record(core, tx, {
      kind: 'project.changed',
      projectId,
      data: { connection: `${access.baseUrl}/${access.repository}` },
    })
  })
}

/** Why the code cannot be fetched. */
async function fetched(core: Core, project: Project): Promise<string[]> {
  try {
    await fetchMirror(core, project)
    return []
  } catch (error) {
    return [SignalboxError.from(error).message]
  }
}

/**
 * Finds a repository that is not where it was. Returns `moved` where it has another name, which is used from now on; `there` where it
 * is where it was; `gone` where it is not, or the token may not see it.
 */
export async function followRepository(core: Core, known: ForgeConnection): Promise<'moved' | 'there' | 'gone'> {
  const access = accessOf(core, known)
  try {
    const found = await core.forges.inspect(access)
    if (found.fullName === known.repository) return 'there'
    const source = sourceOf(found, access.token)
    await save(core, known, { ...access, repository: found.fullName }, { change: {}, source, missing: found.missing })
    return 'moved'
  } catch (error) {
    if (error instanceof ForgeError && (error.trouble === 'missing' || error.trouble === 'refused')) return 'gone'
    throw error
  }
}
