/** Puts the variables of a job together. */
import { program } from '../identity.js'
import type { JobRunOptions } from '../job-run.js'
import type { JobFolders } from './folders.js'
import type { JobVariable } from './payload.js'
import { Variables } from './variables.js'

/**
 * All variables of a job: the runner's own, then the payload's, which win, then those that nothing may change. Source of
 * names and order: GitLab Runner, `common/build.go` (GetAllVariables).
 */
export function jobVariables(
  { payload, slot, runner, executor }: Pick<JobRunOptions, 'payload' | 'slot' | 'runner' | 'executor'>,
  folders: JobFolders,
): Variables {
  const own = (key: string, value: string): JobVariable => ({
    key,
    value,
    file: false,
    masked: false,
    raw: false,
    public: true,
  })
  const image = payload.image?.name ?? ''
  const list: JobVariable[] = [
    ...(image === '' ? [] : [own('CI_JOB_IMAGE', image)]),
    own('CI_RUNNER_SHORT_TOKEN', runner.shortToken),
    own('CI_BUILDS_DIR', folders.inside.builds),
    own('CI_PROJECT_DIR', folders.inside.build),
    own('CI_CONCURRENT_ID', String(slot.id)),
    own('CI_CONCURRENT_PROJECT_ID', String(slot.projectId)),
    own('CI_SERVER', 'yes'),
    own('CI_JOB_STATUS', 'running'),
    own('CI_JOB_TIMEOUT', String(Math.floor(payload.timeoutMs / 1000))),
    ...payload.variables,
    own(executor.shared ? 'CI_SHARED_ENVIRONMENT' : 'CI_DISPOSABLE_ENVIRONMENT', 'true'),
    own('CI_RUNNER_VERSION', program.version),
    own('CI_RUNNER_REVISION', program.revision),
    own('CI_RUNNER_EXECUTABLE_ARCH', `${program.platform}/${program.architecture}`),
    own('RUNNER_TEMP_PROJECT_DIR', folders.inside.temp),
  ]
  return new Variables(list, folders.inside.temp, folders.temp).expanded()
}
