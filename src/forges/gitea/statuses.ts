/** Gitea and Forgejo: statuses of commits. */
import { type CommitStatus, type ForgeAccess, ForgeError, type ForgeState } from '../../core/forge.js'
import type { Ask } from '../driver.js'
import { repositoryPath } from './path.js'

const states: Record<ForgeState, string> = {
  pending: 'pending',
  running: 'pending',
  success: 'success',
  failed: 'failure',
  canceled: 'error',
  skipped: 'success',
}

export async function report(ask: Ask, access: ForgeAccess, status: CommitStatus): Promise<void> {
  try {
    await ask('POST', `${repositoryPath(access)}/statuses/${status.sha}`, {
      state: states[status.state],
      context: status.context,
      target_url: status.targetUrl,
      description: status.description,
    })
  } catch (error) {
    throw isUnknownCommit(error) ? new ForgeError('rejected', 'it has no such commit') : error
  }
}

/** Gitea answers 500 to a status of a commit that it does not have. */
export function isUnknownCommit(error: unknown): boolean {
  return error instanceof ForgeError && error.trouble === 'away' && error.message.includes('object does not exist')
}
