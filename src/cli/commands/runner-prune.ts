/** `signalbox runner prune`: takes away what jobs have left at the container engines of this host. */
import type { RunnerEntry } from '../../config/runner-file.js'
import type { Pruned } from '../../plugins/executors/docker/prune.js'
import { shortToken } from '../../runner/identity.js'
import { heldJobs } from '../../runner/spool.js'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { readRunnerFileOrExit } from '../runner-file-of.js'

interface PruneOptions {
  config?: string
  all?: boolean
  volumes?: boolean
  dryRun?: boolean
  json?: boolean
}

/**
 * Removes containers and networks of jobs that are over, with `volumes` also what is kept between jobs, at every engine that
 * the file names. Only what the file's runners have made, unless `all`. Jobs that run keep theirs.
 */
export async function pruneRunners(options: PruneOptions): Promise<void> {
  const { terminal, env, json } = openContext()
  const { runners } = readRunnerFileOrExit(options.config)
  const docker = runners.filter(({ executor }) => executor === 'docker')
  if (docker.length === 0) throw new Exit(exitCodes.usage, 'no runner of the file has the executor docker')
  const { pruneEngine } = await import('../../plugins/executors/docker/prune.js')
  const sessions = () => new Set(runners.flatMap(({ workDir }) => heldJobs(workDir).map(({ session }) => session)))
  const pruned: Pruned[] = []
  for (const hints of enginesOf(docker)) {
    try {
      pruned.push(
        await pruneEngine({
          hints,
          env,
          runners: options.all ? undefined : docker.map(({ token }) => shortToken(token)),
          sessions,
          volumes: options.volumes === true,
          dryRun: options.dryRun === true,
        }),
      )
    } catch (error) {
      throw new Exit(exitCodes.unreachable, (error as Error).message)
    }
  }
  if (options.json) return json(pruned)
  const would = options.dryRun ? 'would go' : 'removed'
  for (const { engine, containers, networks, volumes, inUse } of pruned) {
    terminal.say(
      `${engine}: ${containers.length} containers, ${networks.length} networks, ${volumes.length} volumes ${would}`,
    )
    for (const name of [...containers, ...networks, ...volumes]) terminal.out(name)
    if (inUse.length > 0) terminal.say(`in use: ${inUse.join(', ')}`)
  }
}

/** Each engine once. */
function enginesOf(runners: readonly RunnerEntry[]) {
  const hints = runners.map(({ settings: { docker = {} } }) => ({
    ...(typeof docker.host === 'string' ? { host: docker.host } : {}),
    ...(typeof docker.tls_cert_path === 'string' ? { certPath: docker.tls_cert_path } : {}),
    ...(typeof docker.tls_verify === 'boolean' ? { tlsVerify: docker.tls_verify } : {}),
  }))
  return [...new Map(hints.map((one) => [JSON.stringify(one), one])).values()]
}
