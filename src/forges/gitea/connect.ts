/** Gitea and Forgejo: a repository, what a token may in it, and its webhook. https://docs.gitea.com/api/ */
import { type ForgeAccess, ForgeError, type ForgeRepository } from '../../core/forge.js'
import type { JsonMap } from '../../http/json.js'
import { hookOf, idOf, listOf, mapOf, maySee, textOf } from '../answer.js'
import type { Ask, HookTarget, KnownHook } from '../driver.js'
import { repositoryPath } from './path.js'
import { isUnknownCommit } from './statuses.js'

/** No commit has this id: whoever may not write a status is told so all the same. */
const noCommit = '0'.repeat(40)

export async function inspect(ask: Ask, access: ForgeAccess): Promise<ForgeRepository> {
  const found = await find(ask, access)
  const fullName = textOf(found, 'full_name')
  const permissions = mapOf(found.permissions ?? {}, 'permissions')
  const missing: string[] = []
  const status = { state: 'pending', context: 'signalbox' }
  const at = `${repositoryPath({ repository: fullName })}/statuses/${noCommit}`
  if (permissions.admin !== true) missing.push('administration of the repository, for its webhook')
  if (!(await mayWrite(ask('POST', at, status)))) missing.push('the scope write:repository, and the right to push')
  const branch = found.default_branch
  return {
    remoteId: idOf(found),
    fullName,
    cloneUrl: textOf(found, 'clone_url'),
    // The password is the token: any name will do.
    gitUser: 'signalbox',
    defaultBranch: typeof branch === 'string' && branch !== '' ? branch : 'main',
    missing,
  }
}

function mayWrite(deed: Promise<unknown>): Promise<boolean> {
  return maySee(
    deed.catch((error: unknown) => {
      if (!isUnknownCommit(error)) throw error
    }),
  )
}

/** By its name, unless that is another's by now. */
async function find(ask: Ask, access: ForgeAccess): Promise<JsonMap> {
  try {
    const found = mapOf(await ask('GET', repositoryPath(access)), 'repository')
    if (access.remoteId === '' || idOf(found) === access.remoteId) return found
  } catch (error) {
    const gone = error instanceof ForgeError && (error.trouble === 'moved' || error.trouble === 'missing')
    if (!gone || access.remoteId === '') throw error
  }
  return mapOf(await ask('GET', `/repositories/${access.remoteId}`), 'repository')
}

const events = ['push', 'pull_request', 'pull_request_sync']

const bodyOf = ({ url, secret }: HookTarget) => ({
  active: true,
  branch_filter: '*',
  events,
  config: { url, content_type: 'json', secret },
})

export async function listHooks(ask: Ask, access: ForgeAccess): Promise<KnownHook[]> {
  const hooks = listOf(await ask('GET', `${repositoryPath(access)}/hooks?limit=50`), 'hooks')
  return hooks.map((hook) => hookOf(hook, events))
}

export async function makeHook(ask: Ask, access: ForgeAccess, hook: HookTarget): Promise<string> {
  return idOf(mapOf(await ask('POST', `${repositoryPath(access)}/hooks`, { type: 'gitea', ...bodyOf(hook) }), 'hook'))
}

/**
 * Gitea keeps the secret of a webhook that is edited, whatever it is given: another takes its place. Made first, so that nothing is
 * missed meanwhile.
 */
export async function setHook(ask: Ask, access: ForgeAccess, id: string, hook: HookTarget): Promise<string> {
  const made = await makeHook(ask, access, hook)
  await deleteHook(ask, access, id)
  return made
}

export async function deleteHook(ask: Ask, access: ForgeAccess, id: string): Promise<void> {
  await ask('DELETE', `${repositoryPath(access)}/hooks/${id}`)
}
