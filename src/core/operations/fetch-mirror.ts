/** A project's repository is brought up to date with the remote one that it mirrors. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Mirror, RemoteSource } from '../mirror.js'
import type { Project } from '../project.js'
import { record } from '../steps/record.js'
import { findMirror as findRow, saveFetch, saveMirror } from '../store/mirrors.js'
import { getProject, updateProject } from '../store/projects.js'
import type { Reader, Tx } from '../store/write.js'

/** What a project mirrors; undefined: nothing. */
export async function findMirror(core: Core, from: Reader | Tx, projectId: number): Promise<Mirror | undefined> {
  const row = await findRow(from, projectId)
  if (!row) return undefined
  const source: RemoteSource = JSON.parse(core.keys.open(row.source).toString('utf8'))
  return { projectId, source, fetchedAt: row.fetchedAt, error: row.error }
}

/** Lets a project mirror a remote repository from now on, or (null) nothing. What it has stays. Throws `not_found`. */
export function setMirror(core: Core, projectId: number, source: RemoteSource | null): Promise<Project> {
  return core.store.write(async (tx) => {
    await getProject(tx, projectId)
    await setMirrorIn(core, tx, projectId, source)
    await record(core, tx, { kind: 'project.changed', projectId })
    return getProject(tx, projectId)
  })
}

/** Step: the same in a transaction. */
export async function setMirrorIn(core: Core, tx: Tx, projectId: number, source: RemoteSource | null): Promise<void> {
  await saveMirror(tx, projectId, source && core.keys.seal(Buffer.from(JSON.stringify(source))))
}

/**
 * Fetches every branch and tag; does nothing for a project that mirrors nothing. The first fetch takes over the remote's
 * default branch, unless it has the one that was planned. Returns the project as it is then. Throws `unavailable` with a
 * sentence that names the address without its credentials.
 */
export async function fetchMirror(core: Core, project: Project): Promise<Project> {
  const mirror = await findMirror(core, core.store.read, project.id)
  if (!mirror) return project
  const { source } = mirror
  let head: string | undefined
  try {
    ;({ head } = await core.repositories.fetch(project, source))
  } catch (error) {
    const reason = error instanceof SignalboxError ? error.message : 'it failed'
    await core.store.write((tx) => saveFetch(tx, project.id, reason))
    throw new SignalboxError('unavailable', `${source.url} could not be fetched: ${reason}`, {
      cause: error,
      details: { verbatim: true },
    })
  }
  return core.store.write(async (tx) => {
    if (mirror.fetchedAt === null || mirror.error !== null || tx.now > mirror.fetchedAt) {
      await saveFetch(tx, project.id, null)
    }
    if (head === undefined || head === project.defaultBranch) return getProject(tx, project.id)
    return updateProject(tx, project.id, { defaultBranch: head })
  })
}

/** The same in the background: how it went is seen in the project's mirror. */
export function fetchMirrorSoon(core: Core, project: Project): void {
  fetchMirror(core, project).catch((error) =>
    core.log.warn({ err: error, project: project.id }, 'a mirrored repository could not be fetched'),
  )
}
