/** How `signalbox run` runs jobs: those with an image in containers, if there are any, the others as processes of this machine. */
import type { Log } from '../core/log.js'
import type { Executor, ExecutorRunner } from '../plugins/sdk.js'
import { loadExecutor } from './executor.js'

export async function localExecutor(
  containers: boolean,
  log: Log,
): Promise<{ name: string; executor: Executor; host: Executor }> {
  const shell = await loadExecutor('shell', {}, log)
  if (!containers) return shell
  const docker = await loadExecutor(
    'docker',
    { plugins: [{ use: 'executor.docker', config: { pull_policy: 'if-not-present' } }] },
    log,
  )
  const executor: Executor = {
    capabilities: (facts) => docker.executor.capabilities(facts),
    runner: byImage(docker.executor.runner!, shell.executor.runner!),
  }
  return { name: 'docker', executor, host: shell.executor }
}

/** Each job by the one or the other, as long as it lives. */
function byImage(docker: ExecutorRunner, shell: ExecutorRunner): ExecutorRunner {
  const inContainers = new Set<string>()
  const of = (session: string) => (inContainers.has(session) ? docker : shell)
  return {
    place: (input) => (input.image ? docker.place?.(input) : undefined),
    prepare(input, output) {
      if (input.job.image !== undefined) inContainers.add(input.session)
      return of(input.session).prepare(input, output)
    },
    run: (input, output) => of(input.session).run(input, output),
    cancel: (input) => of(input.session).cancel(input),
    async cleanUp(input) {
      const runner = of(input.session)
      inContainers.delete(input.session)
      await runner.cleanUp(input)
    },
  }
}
