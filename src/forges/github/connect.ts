/**
 * GitHub: a repository, what a token may in it, and its webhook.
 * https://docs.github.com/en/rest/repos/repos, https://docs.github.com/en/rest/repos/webhooks
 */
import { type ForgeAccess, ForgeError, type ForgeRepository } from '../../core/forge.js'
import type { JsonMap } from '../../http/json.js'
import { hookOf, idOf, listOf, mapOf, maySee, textOf } from '../answer.js'
import type { Ask, HookTarget, KnownHook } from '../driver.js'
import { repositoryPath } from './path.js'

/** No commit has this id: whoever may write a status is told that, and whoever may not is told that instead. */
export const noCommit = '0'.repeat(40)

export async function inspect(ask: Ask, access: ForgeAccess): Promise<ForgeRepository> {
  const found = await find(ask, access)
  const fullName = textOf(found, 'full_name')
  const at = repositoryPath({ repository: fullName })
  const rights: [string, Promise<boolean>][] = [
    ['Contents: read (classic: repo), to fetch the code', maySee(ask('GET', `${at}/branches?per_page=1`))],
    [
      'Webhooks: read and write (classic: admin:repo_hook), of an administrator of the repository',
      maySee(ask('GET', `${at}/hooks?per_page=1`)),
    ],
    [
      'Commit statuses: read and write (classic: repo:status)',
      maySee(ask('POST', `${at}/statuses/${noCommit}`, { state: 'pending', context: 'signalbox' })),
    ],
  ]
  const missing: string[] = []
  for (const [right, may] of rights) if (!(await may)) missing.push(right)
  return {
    remoteId: idOf(found),
    fullName,
    cloneUrl: textOf(found, 'clone_url'),
    gitUser: 'x-access-token',
    defaultBranch: textOf(found, 'default_branch'),
    missing,
  }
}

/** By its name, unless that is another's by now: then where GitHub's own redirects lead. */
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

const events = ['push', 'pull_request']

const bodyOf = ({ url, secret }: HookTarget) => ({
  active: true,
  events,
  config: { url, content_type: 'json', secret, insecure_ssl: '0' },
})

export async function listHooks(ask: Ask, access: ForgeAccess): Promise<KnownHook[]> {
  const hooks = listOf(await ask('GET', `${repositoryPath(access)}/hooks?per_page=100`), 'hooks')
  return hooks.map((hook) => hookOf(hook, events))
}

export async function makeHook(ask: Ask, access: ForgeAccess, hook: HookTarget): Promise<string> {
  const made = await ask('POST', `${repositoryPath(access)}/hooks`, { name: 'web', ...bodyOf(hook) })
  return idOf(mapOf(made, 'hook'))
}

export async function setHook(ask: Ask, access: ForgeAccess, id: string, hook: HookTarget): Promise<string> {
  await ask('PATCH', `${repositoryPath(access)}/hooks/${id}`, bodyOf(hook))
  return id
}

export async function deleteHook(ask: Ask, access: ForgeAccess, id: string): Promise<void> {
  await ask('DELETE', `${repositoryPath(access)}/hooks/${id}`)
}
