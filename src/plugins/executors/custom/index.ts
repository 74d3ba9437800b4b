/** The custom executor: jobs by the driver scripts of GitLab Runner's executor of that name. */
import { type Configured, definePlugin, schema } from '../../sdk.js'
import { CustomRunner } from './custom-runner.js'

const program = () => schema.optional(schema.text())
const args = () => schema.list(schema.text({ empty: true }), { default: [] })
const seconds = (or: number) => schema.whole({ min: 1, default: or })

/** `[runners.custom]`: https://docs.gitlab.com/runner/configuration/advanced-configuration/#the-runnerscustom-section */
const options = schema.table({
  config_exec: program(),
  config_args: args(),
  config_exec_timeout: seconds(3600),
  prepare_exec: program(),
  prepare_args: args(),
  prepare_exec_timeout: seconds(3600),
  run_exec: program(),
  run_args: args(),
  cleanup_exec: program(),
  cleanup_args: args(),
  cleanup_exec_timeout: seconds(3600),
  graceful_kill_timeout: seconds(600),
  force_kill_timeout: seconds(10),
})

/** What the table holds, with times in seconds. */
export type CustomOptions = Configured<typeof options>

/** Runs each job by programs of the operator's: one makes it ready, one runs each script, one cleans up. */
export default definePlugin<CustomOptions>({
  id: 'executor.custom',
  apiVersion: 1,
  config: options,
  setup(host, config) {
    const runner = new CustomRunner(config, process.env, host.logger)
    host.executor('custom', {
      // GitLab Runner, `executors/custom/custom.go`. Whether images and services mean something, the driver decides.
      capabilities: (facts) => [
        ...new Set([...facts.features, 'variables', 'shared', 'image', 'services', 'service_variables']),
      ],
      runner,
    })
    return { close: () => runner.close() }
  },
})
