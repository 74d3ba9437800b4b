/** The plugins that come with Signalbox, in the order in which they are set up and asked. */
import businessHours from './admission/business-hours/index.js'
import maxConcurrency from './admission/max-concurrency/index.js'
import exitCode from './classifiers/exit-code/index.js'
import logPatterns from './classifiers/log-patterns/index.js'
import runnerReasons from './classifiers/runner-reasons/index.js'
import custom from './executors/custom/index.js'
import docker from './executors/docker/index.js'
import shell from './executors/shell/index.js'
import jsonl from './exporters/jsonl/index.js'
import opentelemetry from './exporters/opentelemetry/index.js'
import prometheus from './exporters/prometheus/index.js'
import webhook from './exporters/webhook/index.js'
import type { PluginDefinition } from './sdk.js'

/** Where jobs run. All that a runner needs. */
export const builtinExecutors: readonly PluginDefinition<unknown>[] = [shell, docker, custom]

/** What a coordinator decides with: all that one needs that nobody measures. */
export const builtinDeciders: readonly PluginDefinition<unknown>[] = [
  ...builtinExecutors,
  // What the runner says of itself comes first, then the exit code; where these say little, the log.
  runnerReasons,
  exitCode,
  logPatterns,
]

export const builtins: readonly PluginDefinition<unknown>[] = [
  ...builtinDeciders,
  prometheus,
  // Without a configuration these do nothing.
  opentelemetry,
  webhook,
  jsonl,
  businessHours,
  maxConcurrency,
]
