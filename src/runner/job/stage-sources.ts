import { environmentOf, type JobContext } from './context.js'
import { DisconnectWatch, Patience } from './patience.js'
import type { Failure } from './report.js'
import {
  clearWorktreeScript,
  noSources,
  removeFetchFiles,
  sourcesEnvironment,
  sourcesScript,
  writeGitFiles,
} from './sources.js'
import type { Stages } from './stages.js'
import { attempt } from './time.js'

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
  const run = (stage: string, lines: string[], onOutput?: (chunk: Uint8Array) => void) =>
    stages.run(stage, lines, env, { cwd: folders.builds, ...(onOutput ? { onOutput } : {}) })
  const patience = new Patience(context)
  return attempt(context, settings.sourcesAttempts, async (count) => {
    if (count === 1) {
      const why = 'Deleting all tracked and untracked files due to source fetch failure'
      await log.section('clear_worktree', why, () => run('clear_worktree', clearWorktreeScript(folders)))
    }
    for (;;) {
      const watch = new DisconnectWatch()
      writeGitFiles(payload, folders, context.httpUrl(), context.insteadOf)
      try {
        const failure = await log.section('get_sources', title, () =>
          run('get_sources', script, (chunk) => watch.take(chunk)),
        )
        if (failure === undefined || !watch.seen || !(await patience.wait())) return failure
      } finally {
        removeFetchFiles(folders)
      }
    }
  })
}
