/**
 * GitLab: a project, what a token may in it, and its webhook.
 * https://docs.gitlab.com/api/projects/, https://docs.gitlab.com/api/project_webhooks/
 */
import { type ForgeAccess, ForgeError, type ForgeRepository } from '../../core/forge.js'
import { idOf, listOf, mapOf, maySee, textOf } from '../answer.js'
import type { Ask, HookTarget, KnownHook } from '../driver.js'

/** By the id, which stays when the project is renamed or moved. */
export const projectPath = ({ remoteId, repository }: Pick<ForgeAccess, 'remoteId' | 'repository'>): string =>
  `/projects/${remoteId === '' ? encodeURIComponent(repository) : remoteId}`

export async function inspect(ask: Ask, access: ForgeAccess): Promise<ForgeRepository> {
  const found = mapOf(await ask('GET', projectPath(access)), 'project')
  const remoteId = idOf(found)
  const missing: string[] = []
  const scopes = await scopesOf(ask)
  if (scopes !== undefined && !scopes.includes('api')) missing.push('the scope api')
  if (!(await maySee(ask('GET', `/projects/${remoteId}/hooks?per_page=1`)))) {
    missing.push('the role Maintainer, for the webhook')
  }
  // An empty project has no default branch yet.
  const branch = found.default_branch
  return {
    remoteId,
    fullName: textOf(found, 'path_with_namespace'),
    cloneUrl: textOf(found, 'http_url_to_repo'),
    gitUser: 'oauth2',
    defaultBranch: typeof branch === 'string' && branch !== '' ? branch : 'main',
    missing,
  }
}

/** Undefined for tokens that cannot tell. */
async function scopesOf(ask: Ask): Promise<unknown[] | undefined> {
  try {
    const { scopes } = mapOf(await ask('GET', '/personal_access_tokens/self'), 'token')
    return Array.isArray(scopes) ? scopes : undefined
  } catch (error) {
    if (error instanceof ForgeError && (error.trouble === 'refused' || error.trouble === 'missing')) return undefined
    throw error
  }
}

const wanted = { push_events: true, tag_push_events: true, merge_requests_events: true }

const bodyOf = ({ url, secret }: HookTarget) => ({ url, token: secret, ...wanted, enable_ssl_verification: true })

export async function listHooks(ask: Ask, access: ForgeAccess): Promise<KnownHook[]> {
  const hooks = listOf(await ask('GET', `${projectPath(access)}/hooks?per_page=100`), 'hooks')
  return hooks.map((hook) => ({
    id: idOf(hook),
    url: textOf(hook, 'url'),
    // GitLab switches off what has failed too often.
    fits: Object.keys(wanted).every((event) => hook[event] === true) && hook.alert_status !== 'disabled',
  }))
}

export async function makeHook(ask: Ask, access: ForgeAccess, hook: HookTarget): Promise<string> {
  return idOf(mapOf(await ask('POST', `${projectPath(access)}/hooks`, bodyOf(hook)), 'hook'))
}

export async function setHook(ask: Ask, access: ForgeAccess, id: string, hook: HookTarget): Promise<string> {
  await ask('PUT', `${projectPath(access)}/hooks/${id}`, bodyOf(hook))
  return id
}

export async function deleteHook(ask: Ask, access: ForgeAccess, id: string): Promise<void> {
  await ask('DELETE', `${projectPath(access)}/hooks/${id}`)
}
