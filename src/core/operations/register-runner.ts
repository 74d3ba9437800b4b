/** Registration in the old way: a token that anybody may hold makes runners of the instance, a group or a project. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Runner } from '../runner.js'
import { record } from '../steps/record.js'
import { getProject } from '../store/projects.js'
import {
  addRegistrationToken,
  findRegistrationToken,
  findSealedToken,
  type RegistrationScope,
  replaceRegistrationToken,
} from '../store/registration-tokens.js'
import type { Tx } from '../store/write.js'
import { SealError } from '../tokens/keys.js'
import { hashToken, hintOf, mintToken } from '../tokens/token.js'
import { type CreateRunnerInput, createRunner } from './create-runner.js'

/**
 * Returns the runner and its token. Throws `unauthenticated` for a registration token that is not known; `invalid` with
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

/** Returns a new registration token; the scope's old one is dead. Throws `not_found` for the project. */
export function resetRegistrationToken(core: Core, scope: RegistrationScope): Promise<string> {
  return core.store.write(async (tx) => {
    if (scope.projectId !== null) await getProject(tx, scope.projectId)
    const made = newToken(core, tx)
    await replaceRegistrationToken(tx, scope, made)
    const { projectId, groupId } = scope
    const data = { registration: true, ...(groupId === null ? {} : { group: groupId }) }
    await record(core, tx, { kind: 'token.created', projectId, data })
    return made.token
  })
}

/**
 * The scope's registration token, for those who may administer it; one that has none gets its first, as in GitLab
 * (app/models/concerns/token_authenticatable.rb, `ensure_runners_token!`). Null where only a hash is kept, as versions before
 * this did, or another key file has sealed it: resetting makes one that can be shown.
 */
export async function showRegistrationToken(core: Core, scope: RegistrationScope): Promise<string | null> {
  const known =
    (await findSealedToken(core.store.read, scope)) ??
    (await core.store.write(async (tx) => {
      // Another request may have been quicker: its token stays.
      await addRegistrationToken(tx, scope, newToken(core, tx))
      return (await findSealedToken(tx, scope))!
    }))
  try {
    return known.sealed && core.keys.open(known.sealed).toString('utf8')
  } catch (error) {
    if (error instanceof SealError) return null
    throw error
  }
}

function newToken(core: Core, tx: Tx) {
  const token = mintToken('registration', tx.random, core.settings.cell)
  return { token, hash: hashToken(token), hint: hintOf(token), sealed: core.keys.seal(Buffer.from(token)) }
}
