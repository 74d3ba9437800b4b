/**
 * What the runner gave as the reason. Only words that a runner may say count: any other is an unknown failure. The words:
 * GitLab Runner, `common/network.go` (JobFailureReason). A script's failure is left to the exit code, where there is one.
 */
import { definePlugin, type Evidence, type Verdict } from '../../sdk.js'

/** `confidence`: low where the log may say more. */
type Meaning = Omit<Verdict, 'explanation'> & { sentence: string; confidence: number }

const meanings: Readonly<Record<string, Meaning>> = {
  script_failure: {
    reason: 'script_failure',
    class: 'script',
    retryable: false,
    confidence: 0.3,
    sentence: 'A command of the job’s script ended with an error: the end of the log shows which.',
  },
  runner_system_failure: {
    reason: 'runner_system_failure',
    class: 'internal',
    retryable: true,
    confidence: 0.45,
    sentence: 'The runner, or the environment that it prepared, had a fault; the script is not to blame.',
  },
  job_execution_timeout: {
    reason: 'job_execution_timeout',
    class: 'timeout_job',
    retryable: false,
    confidence: 1,
    sentence: 'The job ran longer than its timeout and was stopped: make it shorter, or raise its `timeout`.',
  },
  runner_configuration_error: {
    reason: 'runner_configuration_error',
    class: 'config',
    retryable: false,
    confidence: 0.8,
    sentence: 'The job asks for something that the runner is not set up for, or the runner’s configuration is wrong.',
  },
  runner_external_dependency_failure: {
    reason: 'runner_external_dependency_failure',
    class: 'dependency',
    retryable: true,
    confidence: 0.45,
    sentence: 'Something outside that the runner needs, such as a registry or the network, was not available.',
  },
  runner_interrupted: {
    reason: 'runner_interrupted',
    class: 'interrupted',
    retryable: true,
    confidence: 1,
    sentence: 'The runner was stopped while the job ran.',
  },
  // Not a reason of the server's list: runners send it only to servers that say they know it.
  image_pull_failure: {
    reason: 'unknown_failure',
    class: 'image',
    retryable: true,
    confidence: 0.9,
    sentence: 'The image of the job could not be pulled.',
  },
  job_canceled: {
    reason: 'unknown_failure',
    class: 'canceled',
    retryable: false,
    confidence: 1,
    sentence: 'The job was canceled on its runner.',
  },
  unknown_failure: {
    reason: 'unknown_failure',
    class: 'unknown',
    retryable: false,
    confidence: 0.1,
    sentence: 'The runner does not know why the job failed: look at the end of the log.',
  },
}

/** Words in which runners tell of a system failure whose cause lies elsewhere. */
const causes: readonly { words: readonly string[]; class: Verdict['class']; retryable: boolean; sentence: string }[] = [
  {
    words: ['failed to pull image', 'pull access denied', 'imagepullbackoff', 'errimagepull', 'manifest unknown'],
    class: 'image',
    retryable: false,
    sentence: 'The image of the job could not be pulled: check its name and tag, and whether the runner may read it.',
  },
  {
    words: ['no space left on device'],
    class: 'capacity',
    retryable: true,
    sentence: 'The disk of the runner is full.',
  },
  {
    words: ['evicted', 'preempt', 'node shutdown'],
    class: 'interrupted',
    retryable: true,
    sentence: 'The environment of the job was taken away while it ran.',
  },
]

const messageLength = 300

/** The verdict on what the runner said; nothing where it said nothing, or only that the script failed with an exit code. */
export function judgeReason({ runnerReason, message, exitCode }: Evidence): Verdict | undefined {
  if (runnerReason === '') return undefined
  if (runnerReason === 'script_failure' && exitCode !== null && exitCode !== 0) return undefined
  const meaning = Object.hasOwn(meanings, runnerReason) ? meanings[runnerReason] : undefined
  if (!meaning) {
    const word = JSON.stringify(shorten(runnerReason, 60))
    return {
      reason: 'unknown_failure',
      class: 'unknown',
      retryable: false,
      confidence: 0.2,
      explanation: withMessage(`The runner gave a reason that is not known here: ${word}.`, message),
    }
  }
  const { sentence, ...verdict } = meaning
  const said = message.toLowerCase()
  const cause =
    meaning.reason === 'runner_system_failure'
      ? causes.find(({ words }) => words.some((word) => said.includes(word)))
      : undefined
  if (!cause) return { ...verdict, explanation: withMessage(sentence, message) }
  return {
    reason: meaning.reason,
    class: cause.class,
    retryable: cause.retryable,
    confidence: 0.9,
    explanation: withMessage(cause.sentence, message),
  }
}

function withMessage(sentence: string, message: string): string {
  const said = shorten(message, messageLength)
  return said === '' ? sentence : `${sentence} The runner says: ${said}`
}

function shorten(text: string, length: number): string {
  const line = text
    .slice(0, length * 2)
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`
}

export default definePlugin({
  id: 'classifier.runner-reasons',
  apiVersion: 1,
  setup(host) {
    host.classify('runner-reasons', judgeReason)
  },
})
