/** The shell executor: jobs as processes of this host. */
import { definePlugin, PluginConfigError } from '../../sdk.js'
import { ShellRunner } from './shell-runner.js'

export interface ShellConfig {
  /** Which shell to use; unset, bash where there is one, else sh. */
  shell?: 'bash' | 'sh'
}

/** Runs jobs as processes of this host, under the runner's own user. */
export default definePlugin<ShellConfig>({
  id: 'executor.shell',
  apiVersion: 1,
  config(given) {
    for (const key of Object.keys(given)) {
      if (key !== 'shell') throw new PluginConfigError(key, `unknown key ${JSON.stringify(key)}`)
    }
    const { shell } = given
    if (shell === undefined) return {}
    if (shell !== 'bash' && shell !== 'sh') throw new PluginConfigError('shell', 'must be "bash" or "sh"')
    return { shell }
  },
  setup(host, config) {
    const runner = new ShellRunner(config.shell)
    host.executor('shell', {
      // GitLab Runner, `executors/shell/shell.go`: no image, no services.
      capabilities: (facts) => [...new Set([...facts.features, 'variables', 'shared'])],
      runner,
    })
    return { close: () => runner.close() }
  },
})
