/** GitLab: statuses of commits. https://docs.gitlab.com/api/commits/#set-commit-pipeline-status */
import { type CommitStatus, type ForgeAccess, ForgeError } from '../../core/forge.js'
import type { Ask } from '../driver.js'
import { projectPath } from './connect.js'

const longestDescription = 255

export async function report(ask: Ask, access: ForgeAccess, status: CommitStatus): Promise<void> {
  const { ref, description } = status
  try {
    await ask('POST', `${projectPath(access)}/statuses/${status.sha}`, {
      state: status.state,
      name: status.context,
      target_url: status.targetUrl,
      description:
        description.length > longestDescription ? `${description.slice(0, longestDescription - 1)}…` : description,
      ...(ref === null ? {} : { ref }),
    })
  } catch (error) {
    // It is told so when the status is there already, or is past it.
    const known = error instanceof ForgeError && error.trouble === 'rejected'
    if (!known || !error.message.includes('Cannot transition status')) throw error
  }
}
