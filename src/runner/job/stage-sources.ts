/** Stage: the sources. */
import { attempt } from './attempt.js'
import type { JobContext } from './context.js'
import { isAway, Patience } from './patience.js'
import type { Failure } from './report.js'
import {
  clearWorktreeScript,
  endedInGit,
  noSources,
  removeFetchFiles,
  sourcesEnvironment,
  sourcesScript,
  writeGitFiles,
} from './sources.js'
import type { Stages } from './stages.js'
import { environmentOf } from './stages.js'
import { pause } from './time.js'

/** How often a stage is tried again in a fresh clone: a coordinator that restarts twice in a row fails no job. */
const freshTries = 2

/** Gets the sources, as often as it may try. */
export async function getSources(context: JobContext, stages: Stages): Promise<Failure | undefined> {
  const { payload, settings, folders, log } = context
  const title = 'Getting source from Git repository'
  const script = sourcesScript(payload, settings, folders)
  if (script.length === 0) {
    await log.section('get_sources', title, async () => {
      for (const line of noSources) log.notice(line)
    })
    return undefined
  }
  const env = { ...environmentOf(context, 'running'), ...sourcesEnvironment }
  const run = (stage: string, lines: string[]) => stages.run(stage, lines, env, { cwd: folders.builds })
  const patience = new Patience(context)
  return attempt(context, settings.sourcesAttempts, async (count) => {
    if (count === 1) {
      const why = 'Deleting all tracked and untracked files due to source fetch failure'
      await log.section('clear_worktree', why, () => run('clear_worktree', clearWorktreeScript(folders)))
    }
    for (let fresh = 0; ; ) {
      writeGitFiles(payload, folders, context.httpUrl(), context.insteadOf)
      try {
        const lines = fresh > 0 ? sourcesScript(payload, settings, folders, { afresh: true }) : script
        const failure = await log.section('get_sources', title, () => run('get_sources', lines))
        if (failure === undefined || !endedInGit(folders)) return failure
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
