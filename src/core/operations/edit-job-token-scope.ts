/**
 * Users say whose jobs may use their token in a project. Rules: gitlab app/services/ci/job_token_scope/*.rb,
 * app/models/ci/job_token/{project,group}_scope_link.rb.
 */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { record } from '../steps/record.js'
import { type Allowed, deleteAllowed, insertAllowed, listAllowed } from '../store/job-token-allowances.js'

/** Of each kind. */
const mostAllowed = 200

interface Edit {
  projectId: number
  allowed: Allowed
}

/** Throws `invalid` for the project itself, one that is on the list already, or one too many. */
export function allowJobTokens(core: Core, { projectId, allowed }: Edit): Promise<void> {
  return core.store.write(async (tx) => {
    if (allowed.kind === 'project' && allowed.id === projectId) {
      throw refused('the project itself is always allowed')
    }
    const { length } = await listAllowed(tx, projectId, allowed.kind)
    if (length >= mostAllowed) throw refused(`the allowlist has ${mostAllowed} ${allowed.kind}s already`)
    if (!(await insertAllowed(tx, projectId, allowed))) throw refused(`the ${allowed.kind} is on the allowlist already`)
    await note(core, tx, { projectId, allowed }, true)
  })
}

/** Throws `invalid` for one that is not on the list, which the project itself always is. */
export function disallowJobTokens(core: Core, { projectId, allowed }: Edit): Promise<void> {
  return core.store.write(async (tx) => {
    if (!(await deleteAllowed(tx, projectId, allowed)))
      throw refused(`the ${allowed.kind} cannot be taken off the allowlist`)
    await note(core, tx, { projectId, allowed }, false)
  })
}

function note(core: Core, tx: Parameters<typeof record>[1], { projectId, allowed }: Edit, added: boolean) {
  const data = { job_tokens_of: allowed.kind, id: allowed.id, allowed: added }
  return record(core, tx, { kind: 'project.changed', projectId, data })
}

function refused(message: string): SignalboxError {
  return new SignalboxError('invalid', message)
}
