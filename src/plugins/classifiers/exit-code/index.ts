/**
 * What an exit code means. 126, 127 and 128 + n: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html
 * (2.8.2, Exit Status for Commands) and the Bash manual, 3.7.5; the numbers of signals are Linux's, signal(7).
 */
import { definePlugin, type Evidence, type FailureClass, type Verdict } from '../../sdk.js'

interface Meaning {
  /** Follows "The script ended with exit code N: " or, for signals, "The script was ended by SIG… (exit code N): ". */
  clause: string
  class?: FailureClass
  retryable?: boolean
  /** How much the number alone says; what is not told here leaves the word to the log. */
  confidence?: number
}

const vague = 0.3

const codes: Readonly<Record<number, Meaning>> = {
  1: { clause: 'a command reported an error. The end of the log shows which.' },
  2: { clause: 'a command was used wrongly, or reported an error of its own. The end of the log shows which.' },
  124: {
    confidence: 0.6,
    clause: 'that is what `timeout` answers when it has stopped a command that took too long.',
  },
  125: { clause: 'a command that starts others (`timeout`, `docker run`, `env`) failed itself.' },
  126: {
    confidence: 0.6,
    clause:
      'a command was found but cannot be run. Is its file executable (`chmod +x`), its first line right, and is it made for this architecture?',
  },
  127: { clause: 'a command was not found. Is it installed where the job runs, and is its folder in PATH?' },
  128: { clause: 'git ends so after a fatal error. Look for a line that begins with `fatal:`.' },
  255: { clause: 'ssh ends so when it cannot connect; other commands mean an error in general.' },
}

const signals: Readonly<Record<number, { name: string } & Meaning>> = {
  1: { name: 'SIGHUP', clause: 'its terminal or session was closed.' },
  2: { name: 'SIGINT', clause: 'it was interrupted, as by Ctrl-C.' },
  3: { name: 'SIGQUIT', clause: 'it was asked to quit.' },
  4: {
    name: 'SIGILL',
    clause: 'a program has an instruction that this processor does not know. Was it built for another?',
  },
  5: { name: 'SIGTRAP', clause: 'a program met a trap.' },
  6: { name: 'SIGABRT', clause: 'a program gave up by itself, as after a failed assertion.' },
  7: { name: 'SIGBUS', clause: 'a program reached for memory that cannot be.' },
  8: { name: 'SIGFPE', clause: 'a program made an impossible calculation, such as a division by zero.' },
  9: {
    name: 'SIGKILL',
    class: 'capacity',
    confidence: 0.45,
    clause: 'it was ended by force. Most often the memory was used up: give the job more, or let it use less.',
  },
  11: {
    name: 'SIGSEGV',
    confidence: 0.6,
    clause: 'a program crashed: it reached for memory that is not its own.',
  },
  13: {
    name: 'SIGPIPE',
    clause: 'a command wrote to another that had ended. With `pipefail`, `… | head` does so.',
  },
  15: {
    name: 'SIGTERM',
    class: 'interrupted',
    retryable: true,
    confidence: 0.6,
    clause: 'it was asked to stop, by a command of the job or because its host was shut down.',
  },
  24: { name: 'SIGXCPU', class: 'capacity', clause: 'it used more processor time than it may.' },
  25: { name: 'SIGXFSZ', class: 'capacity', clause: 'it wrote a file larger than it may.' },
}

/** The verdict on a script that failed with an exit code or by a signal; nothing for any other failure. */
export function judgeExitCode(evidence: Evidence): Verdict | undefined {
  const { runnerReason, signal } = evidence
  if (runnerReason !== '' && runnerReason !== 'script_failure') return undefined
  const exitCode = evidence.exitCode ?? codeOf(signal)
  if (exitCode === undefined || exitCode === 0) return undefined
  const bySignal = exitCode > 128 ? signals[exitCode - 128] : undefined
  const meaning = bySignal ??
    codes[exitCode] ?? { clause: 'a command reported an error. The end of the log shows which.' }
  const event = bySignal ? `was ended by ${bySignal.name} (exit code ${exitCode})` : `ended with exit code ${exitCode}`
  const around = stageAround(evidence.traceTail)
  if (around !== undefined) {
    if (evidence.coordinatorWasAway && around.isUnanswered) {
      return {
        reason: 'script_failure',
        class: 'internal',
        retryable: true,
        confidence: 1,
        explanation: `${around.what} failed because the coordinator was away meanwhile; the script is not to blame. Retry the job.`,
      }
    }
    const complaint = lastComplaint(evidence.traceTail)
    return {
      reason: 'script_failure',
      class: around.class,
      retryable: false,
      confidence: 0.9,
      explanation: `${around.what} failed${complaint === undefined ? ` (exit code ${exitCode}). The end of the log shows why.` : `: ${complaint}`}`,
      ...(complaint === undefined ? {} : { lines: [complaint] }),
    }
  }
  const missing = exitCode === 127 ? missingCommand(evidence.traceTail) : undefined
  return {
    reason: 'script_failure',
    class: meaning.class ?? 'script',
    retryable: meaning.retryable ?? false,
    confidence: missing === undefined ? (meaning.confidence ?? vague) : 0.95,
    explanation: `The script ${event}: ${missing === undefined ? meaning.clause : notFound(missing.command)}`,
    ...(missing === undefined ? {} : { lines: [missing.line] }),
  }
}

/** Stages of a runner that fail a job with an exit code although its script did not. */
const stagesAround: Readonly<Record<string, { what: string; class: FailureClass }>> = {
  get_sources: { what: 'Getting the sources', class: 'dependency' },
  download_artifacts: { what: 'Downloading the artifacts of other jobs', class: 'dependency' },
  upload_artifacts_on_success: { what: 'Uploading the artifacts', class: 'config' },
}

/**
 * The stage that failed, where the log shows that it was not the script: the last that began, if none of a script has, or
 * the upload that only follows a script without errors. The names are GitLab Runner's (`common/build.go`).
 */
function stageAround(traceTail: string): { what: string; class: FailureClass; isUnanswered: boolean } | undefined {
  const marks = [...traceTail.matchAll(/section_(start|end):\d+:([a-z_]+)\r/g)]
  const begun = marks.map(([, , name]) => name!)
  const name = begun.includes('upload_artifacts_on_success')
    ? 'upload_artifacts_on_success'
    : begun.some((one) => one.startsWith('step_') || one === 'after_script')
      ? undefined
      : begun.findLast((one) => Object.hasOwn(stagesAround, one))
  if (name === undefined) return undefined
  const start = marks.find(([, edge, one]) => edge === 'start' && one === name)?.index ?? 0
  const end = marks.find(({ index, 1: edge, 2: one }) => index > start && edge === 'end' && one === name)?.index
  return { ...stagesAround[name]!, isUnanswered: unanswered.test(traceTail.slice(start, end)) }
}

/** How runners say that nobody answered: Go's network errors, git's (curl's) and our own, and answers of proxies. */
const unanswered =
  /connection refused|connection reset|\bEOF\b|broken pipe|i\/o timeout|deadline exceeded|ECONN(?:REFUSED|RESET)|socket hang up|does not answer|failed to connect|could not connect|\b50[234] (?:Bad Gateway|Service Unavailable|Gateway Time-?out)|returned error: 50[234]/i

/** The last line of the log that says what is wrong, but for the one that only says that the job has failed. */
function lastComplaint(traceTail: string): string | undefined {
  const lines = traceTail.split('\n').slice(-100).reverse()
  for (const line of lines) {
    const text = line
      .slice(0, 1000)
      .replace(/\u001b\[[0-9;]*[A-Za-z]/g, '')
      .split('\r')
      .at(-1)!
    const found = /^(?:\d{4}-\S+ \d\d[OE] )?(?:fatal|error|ERROR|WARNING): (.+)$/.exec(text.trim())?.[1]
    if (found !== undefined && !found.startsWith('Job failed')) return found.slice(0, 300)
  }
  return undefined
}

function codeOf(signal: string | null): number | undefined {
  const found = Object.entries(signals).find(([, { name }]) => name === signal)
  return found ? 128 + Number(found[0]) : undefined
}

const notFound = (command: string) =>
  `the command ${command} was not found. Is it installed where the job runs, and is its folder in PATH?`

/** `bash: line 3: foo: command not found`, `sh: 1: foo: not found`: the command of the last such line of the log. */
function missingCommand(traceTail: string): { command: string; line: string } | undefined {
  const lines = traceTail.split('\n').slice(-50).reverse()
  for (const line of lines) {
    const text = line.slice(0, 500).trimEnd()
    const ending = [': command not found', ': not found'].find((one) => text.endsWith(one))
    if (ending === undefined) continue
    const command = text.slice(0, -ending.length).split(': ').at(-1) ?? ''
    if (/^[\w./+-]{1,100}$/.test(command)) return { command, line: text.slice(0, 300) }
  }
  return undefined
}

export default definePlugin({
  id: 'classifier.exit-code',
  apiVersion: 1,
  setup(host) {
    host.classify('exit-code', judgeExitCode)
  },
})
