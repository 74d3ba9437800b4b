/** The executor that a runner is started with, by name. */
import path from 'node:path'
import { SystemClock } from '../core/clock.js'
import type { Log } from '../core/log.js'
import { builtinExecutors } from '../plugins/builtin.js'
import { loadPlugins } from '../plugins/host.js'
import type { Executor } from '../plugins/sdk.js'
import { Exit, exitCodes } from './exit.js'

/** Looks among the built-ins and the plugins of a settings file. Ends the program (2) if nobody offers the name. */
export async function executorNamed(
  name: string,
  configFile: string | undefined,
  log: Log,
  workDir?: string,
): Promise<{ name: string; executor: Executor; close: () => Promise<void> }> {
  const { plugins, baseFolder } = configFile
    ? (await import('../config/read.js')).readSettings({ flags: { config: configFile }, env: {}, cwd: process.cwd() })
    : { plugins: [], baseFolder: path.resolve('.') }
  const host = await loadPlugins({
    builtins: builtinExecutors,
    configured: plugins,
    baseFolder,
    ...(workDir === undefined ? {} : { workFolder: path.resolve(workDir, 'plugins') }),
    kinds: ['executor'],
    log,
    clock: new SystemClock(),
  })
  const executor = host.executor(name)
  if (!executor) {
    const there = host.executors().join(', ')
    await host.close()
    throw new Exit(exitCodes.usage, `no executor ${JSON.stringify(name)}; there are ${there}`)
  }
  return { name, executor, close: () => host.close() }
}
