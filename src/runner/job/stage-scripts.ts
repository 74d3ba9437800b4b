/** Stage: the scripts of the job itself. */
import type { JobContext } from './context.js'
import { formatDuration } from './duration.js'
import type { Failure } from './report.js'
import { userLines } from './script.js'
import type { Stages } from './stages.js'
import { environmentOf } from './stages.js'
import { deadline } from './time.js'

/** `CI_JOB_STATUS` of an after_script. Source: GitLab Runner, `common/build.go` (runtimeStateAndError). */
type ScriptStatus = 'success' | 'failed' | 'canceled' | 'timedout'

/**
 * Runs the job's scripts up to the first that fails, then its after_script.
 * @param onScriptsEnd called between the two: from there on a graceful cancel comes too late
 */
export async function runScripts(
  context: JobContext,
  stages: Stages,
  onScriptsEnd: () => void,
): Promise<Failure | undefined> {
  const { log, settings, stop } = context
  const limit = deadline(settings.scriptTimeoutMs)
  let failure = await runSteps(context, stages, limit.signal)
  limit.clear()
  onScriptsEnd()
  if (stop.everything.aborted) return failure
  let status: ScriptStatus = failure === undefined ? 'success' : 'failed'
  if (stop.script.aborted) {
    log.warning('script canceled externally (UI, API)')
    failure = { reason: 'job_canceled', message: 'canceled' }
    status = 'canceled'
  } else if (limit.signal.aborted) {
    const message = `script took longer than ${formatDuration(settings.scriptTimeoutMs)} (RUNNER_SCRIPT_TIMEOUT)`
    failure = { reason: 'job_execution_timeout', message }
    status = 'timedout'
  }
  const after = await runAfterScript(context, stages, status)
  return failure ?? after
}

/** Every step but after_script, in the order of the payload. */
async function runSteps(context: JobContext, stages: Stages, limit: AbortSignal): Promise<Failure | undefined> {
  const { payload, log, stop, variables } = context
  for (const { name, script } of payload.steps.filter((each) => each.name !== 'after_script')) {
    const stage = `step_${name.toLowerCase()}`
    // The lines of `release` come from keywords, in which variables are expanded.
    const lines = name === 'release' ? script.map((line) => variables.expand(line)) : script
    const failure = await log.section(stage, `Executing "${stage}" stage of the job script`, () =>
      stages.run(stage, userLines(lines), environmentOf(context, 'running'), { limits: [stop.script, limit] }),
    )
    if (failure !== undefined) return failure
  }
  return undefined
}

async function runAfterScript(context: JobContext, stages: Stages, status: ScriptStatus): Promise<Failure | undefined> {
  const { payload, log, settings, stop } = context
  const script = payload.steps.find((each) => each.name === 'after_script')?.script ?? []
  if (script.length === 0) return undefined
  const limit = deadline(settings.afterScriptTimeoutMs)
  const failure = await log.section('after_script', 'Running after_script', async () => {
    log.notice('Running after script...')
    const env = environmentOf(context, status)
    return stages.run('after_script', userLines(script), env, { limits: [limit.signal] })
  })
  limit.clear()
  if (failure === undefined || stop.everything.aborted) return undefined
  if (!settings.ignoreAfterScriptErrors) return failure
  const why = limit.signal.aborted ? 'it took too long' : failure.message
  log.warning(`after_script failed, but job will continue unaffected: ${why}`)
  return undefined
}
