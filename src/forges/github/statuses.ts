/** GitHub: statuses of commits. https://docs.github.com/en/rest/commits/statuses */
import type { CommitStatus, ForgeAccess, ForgeState } from '../../core/forge.js'
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

const longestDescription = 140

export async function report(ask: Ask, access: ForgeAccess, status: CommitStatus): Promise<void> {
  const { description } = status
  await ask('POST', `${repositoryPath(access)}/statuses/${status.sha}`, {
    state: states[status.state],
    context: status.context,
    target_url: status.targetUrl,
    description:
      description.length > longestDescription ? `${description.slice(0, longestDescription - 1)}…` : description,
  })
}
