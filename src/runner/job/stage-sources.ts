/** Stage: the sources. */
import { attempt } from './attempt.js'
import type { JobContext } from './context.js'
import { endedInGit, removeFetchFiles, writeGitFiles } from './git-files.js'
import { leftOutFlags } from './git-flags.js'
import { isAway, Patience } from './patience.js'
import type { Failure } from './report.js'
import { userLines } from './script.js'
import { clearWorktreeScript, noSources, sourcesEnvironment, sourcesScript } from './sources.js'
import type { Stages } from './stages.js'
import { environmentOf } from './stages.js'
import { pause } from './time.js'

/** How often a stage is tried again in a fresh clone: a coordinator that restarts some times in a row fails no job. */
const freshTries = 4

/** Gets the sources, as often as it may try. */
export async function getSources(context: JobContext, stages: Stages): Promise<Failure | undefined> {
  const { payload, settings, folders, log } = context
  const title = 'Getting source from Git repository'
  const { apart } = context.executor
  const script = sourcesScript(payload, settings, folders, { apart })
  if (script.length === 0) {
    await log.section('get_sources', title, async () => {
      for (const line of noSources) log.notice(line)
    })
    return undefined
  }
  // Variables of a job can make git, or the shell, run anything.
  const env = apart ? hostEnvironment(context) : { ...environmentOf(context, 'running'), ...sourcesEnvironment }
  const run = (stage: string, lines: string[]) => stages.runOnHost(stage, lines, env)
  const left = apart ? leftOutFlags(settings) : []
  if (left.length > 0) log.warning(`options of git that this executor does not take: ${left.join(' ')}`)
  const patience = new Patience(context)
  return attempt(context, settings.sourcesAttempts, async (count) => {
    if (count === 1) {
      const why = 'Deleting all tracked and untracked files due to source fetch failure'
      await log.section('clear_worktree', why, () => run('clear_worktree', clearWorktreeScript(folders, { apart })))
    }
    for (let fresh = 0; ; ) {
      const hook = await runHook(context, stages, 'pre')
      if (hook !== undefined) return hook
      writeGitFiles(payload, folders, context.httpUrl(), context)
      try {
        const lines = fresh > 0 ? sourcesScript(payload, settings, folders, { afresh: true, apart }) : script
        const failure = await log.section('get_sources', title, () => run('get_sources', lines))
        if (failure === undefined) return await runHook(context, stages, 'post')
        if (!endedInGit(folders)) return failure
        if (await isAway(context)) {
          if (!(await patience.wait())) return failure
        } else {
          // It may have been away for a moment only, or what another job has left is in the way.
          if (fresh++ === freshTries || context.stop.everything.aborted) return failure
          log.warning('getting the sources failed; trying again in a fresh clone')
          await pause(fresh * 500, context.stop.everything)
        }
      } finally {
        removeFetchFiles(folders)
      }
    }
  })
}

/** Hooks of a job that sees another file system are scripts of its own; else they are part of the stage's script. */
async function runHook(context: JobContext, stages: Stages, which: 'pre' | 'post'): Promise<Failure | undefined> {
  const { payload, folders, executor, log } = context
  const lines = which === 'pre' ? payload.hooks.preGetSources : payload.hooks.postGetSources
  if (!executor.apart || lines.length === 0) return undefined
  const stage = `${which}_get_sources_script`
  const cwd = which === 'pre' ? folders.inside.builds : folders.inside.build
  return log.section(stage, `Executing "${stage}"`, () =>
    stages.run(stage, userLines(lines), environmentOf(context, 'running'), { cwd }),
  )
}

/** What our own commands are given on this host of a job that sees another file system: nothing that could be a program. */
function hostEnvironment({ variables }: JobContext): Record<string, string> {
  return {
    ...sourcesEnvironment,
    // Files of a container's user are not ours; whose they are says nothing here.
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: 'safe.directory',
    GIT_CONFIG_VALUE_0: '*',
    ...(variables.flag('GIT_SSL_NO_VERIFY') ? { GIT_SSL_NO_VERIFY: 'true' } : {}),
  }
}
