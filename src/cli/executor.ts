/** The executor that a runner is started with, by name. */
import path from 'node:path'
import { SystemClock } from '../core/clock.js'
import type { Log } from '../core/log.js'
import { builtinExecutors } from '../plugins/builtin.js'
import { fromGauge, render } from '../plugins/exporters/prometheus/render.js'
import { type ConfiguredPlugin, loadPlugins, type Plugins } from '../plugins/host.js'
import type { Executor } from '../plugins/sdk.js'
import { Exit, exitCodes } from './exit.js'

/** An executor under its name, with the one that runs our own commands on this host. */
export interface NamedExecutor {
  name: string
  executor: Executor
  host: Executor
  /** What its plugin costs and has failed at, in the text format of Prometheus. */
  figures(): Promise<string>
  /** Ends what it still runs. */
  close(): Promise<void>
}

/** Where executors come from, beside the built-ins. */
export interface ExecutorSources {
  plugins?: readonly ConfiguredPlugin[]
  /** The folder that their paths are seen from. */
  baseFolder?: string
  /** The work folder of the runner. */
  workDir?: string
}

/** Looks among the built-ins and the plugins of a settings file. Ends the program (2) if nobody offers the name. */
export async function executorNamed(
  name: string,
  configFile: string | undefined,
  log: Log,
  workDir?: string,
): Promise<NamedExecutor> {
  const { plugins, baseFolder } = configFile
    ? (await import('../config/read.js')).readSettings({ flags: { config: configFile }, env: {}, cwd: process.cwd() })
    : { plugins: [], baseFolder: path.resolve('.') }
  return loadExecutor(name, { plugins, baseFolder, ...(workDir === undefined ? {} : { workDir }) }, log)
}

/** The same among the built-ins and these plugins. */
export async function loadExecutor(
  name: string,
  { plugins = [], baseFolder = path.resolve('.'), workDir }: ExecutorSources,
  log: Log,
): Promise<NamedExecutor> {
  // The processes of plugins keep nobody alive, and a runner that begins has nothing else that does.
  const ours = new Set(builtinExecutors.map(({ id }) => id))
  const awake = plugins.every(({ use }) => ours.has(use)) ? undefined : setInterval(() => undefined, 60_000)
  const sleep = () => clearInterval(awake)
  try {
    const host = await loadPlugins({
      builtins: builtinExecutors,
      configured: plugins,
      baseFolder,
      ...(workDir === undefined ? {} : { workFolder: path.resolve(workDir, 'plugins') }),
      kinds: ['executor'],
      log,
      clock: new SystemClock(),
    })
    const figures = async () => render((await host.gauges()).map(fromGauge), 'text').body
    return { ...(await find(host, name, log)), figures, close: () => host.close().finally(sleep) }
  } catch (error) {
    sleep()
    throw error
  }
}

async function find(host: Plugins, name: string, log: Log): Promise<Omit<NamedExecutor, 'close' | 'figures'>> {
  const executor = await comesFrom(host, name, log)
  if (executor) return { name, executor, host: host.executor('shell')! }
  const there = host.executors().join(', ')
  await host.close()
  throw new Exit(exitCodes.usage, `no executor ${JSON.stringify(name)}; there are ${there}`)
}

/** Waits for plugins that are tried again, of which one may offer the name. Undefined: nobody does, or will. */
async function comesFrom(host: Plugins, name: string, log: Log): Promise<Executor | undefined> {
  for (;;) {
    const executor = host.executor(name)
    if (executor || !host.triesAgain) return executor
    log.warn({ executor: name }, 'no executor of this name yet: waiting for a plugin that is tried again')
    await new Promise<void>((resolve) => {
      const stop = host.capabilityChanges.listen(() => {
        stop()
        resolve()
      })
    })
  }
}
