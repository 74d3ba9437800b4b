/** What a project runs at commits that have no configuration: what Auto DevOps is for on GitLab, with a text of one's own. */
import { limits } from '../ci-config/limits.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { record } from '../steps/record.js'
import { saveDefaultConfig } from '../store/default-configs.js'
import { getProject } from '../store/projects.js'

/**
 * Null: nothing any more. What is wrong in the text shows in the pipelines that it makes. Throws `not_found`; `invalid` for
 * a text that is empty, has NUL in it, or is longer than a file of a configuration may be.
 */
export async function setDefaultConfig(core: Core, projectId: number, config: string | null): Promise<void> {
  if (config !== null) {
    if (config.trim() === '' || config.includes('\0')) throw new SignalboxError('invalid', 'config must be a text')
    if (Buffer.byteLength(config) > limits.fileBytes) {
      throw new SignalboxError('too_large', `config may have ${limits.fileBytes} bytes`)
    }
  }
  await core.store.write(async (tx) => {
    await getProject(tx, projectId)
    await saveDefaultConfig(tx, projectId, config)
    await record(core, tx, { kind: 'project.changed', projectId, data: { fields: 'default_config' } })
  })
}
