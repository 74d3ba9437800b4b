/** Registration in the old way: a token that anybody may hold makes runners of the instance, a group or a project. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Runner } from '../runner.js'
import { getProject } from '../store/projects.js'
import {
  findRegistrationToken,
  type RegistrationScope,
  replaceRegistrationToken,
} from '../store/registration-tokens.js'
import { hashToken, hintOf, mintToken } from '../tokens/token.js'
import { type CreateRunnerInput, createRunner } from './create-runner.js'

/**
 * Gives the runner and its token. Throws `unauthenticated` for a registration token that is not known; `invalid` with
 * `details.field` for a wrong setting.
 */
export async function registerRunner(
  core: Core,
  registrationToken: string,
  settings: Omit<CreateRunnerInput, 'type' | 'projectId' | 'groupId' | 'registered'>,
): Promise<{ runner: Runner; token: string }> {
  const scope = await findRegistrationToken(core.store.read, hashToken(registrationToken))
  if (!scope) throw new SignalboxError('unauthenticated', 'no registration token is like this')
  const { projectId, groupId } = scope
  if (projectId !== null) return createRunner(core, { ...settings, type: 'project', projectId, registered: true })
  if (groupId !== null) return createRunner(core, { ...settings, type: 'group', groupId, registered: true })
  return createRunner(core, { ...settings, type: 'instance', registered: true })
}

/** Gives a new registration token, shown this once; the scope's old one is dead. Throws `not_found` for the project. */
export function resetRegistrationToken(core: Core, scope: RegistrationScope): Promise<string> {
  return core.store.write(async (tx) => {
    if (scope.projectId !== null) await getProject(tx, scope.projectId)
    const token = mintToken('registration', tx.random, core.settings.cell)
    await replaceRegistrationToken(tx, scope, { hash: hashToken(token), hint: hintOf(token) })
    return token
  })
}
