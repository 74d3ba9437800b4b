/**
 * Why a script failed, from the end of its log. Read is what the script itself wrote, from the last line back: lines of the
 * last command that was begun count in full, those before it much less, since that command went well. Of the rules that find a
 * line, the surest decides; the further from the end its line is, the less sure it is.
 */
import { definePlugin, type Evidence, type Verdict } from '../../sdk.js'
import { type LogRule, logRules } from './rules.js'
import { WordIndex } from './word-index.js'

/** A line of the log that a rule has found. */
interface Finding {
  rule: LogRule
  line: string
  sureness: number
}

/** Of a line no more is looked at, and of a log no more lines that have words of rules in them. */
const lineLength = 300
const lookedAt = 500
const shownLength = 300
const mostShown = 3
/** A line loses this for each line that follows it, down to a limit. */
const lossPerLine = 0.0015
const mostLoss = 0.2
/** And this if another command was begun after it. */
const earlierCommandLoss = 0.45
/** Less is no verdict. */
const least = 0.3

const index = new WordIndex(logRules.map(({ words }) => words))

/** The verdict on a failure whose log says why; nothing where no rule knows a line, or the reason says all. */
export function judgeLog(evidence: Evidence): Verdict | undefined {
  const { runnerReason, exitCode, message } = evidence
  if (!Object.hasOwn(reasons, runnerReason)) return undefined
  const byScript = runnerReason === '' || runnerReason === 'script_failure'
  if (byScript && exitCode === null) return undefined
  const text = byScript ? ofScript(evidence.traceTail) : `${evidence.traceTail}\n${message.slice(0, 4000)}`
  const findings = findIn(text)
  const best = findings.reduce<Finding | undefined>((a, b) => (a && a.sureness >= b.sureness ? a : b), undefined)
  if (!best || best.sureness < least) return undefined
  const { rule } = best
  const lines = findings.filter((one) => one.rule === rule).slice(0, mostShown)
  return {
    reason: reasons[runnerReason]!,
    class: rule.class,
    retryable: rule.retryable,
    confidence: Math.round(best.sureness * 100) / 100,
    explanation: rule.sentence,
    lines: lines
      .map(({ line }) =>
        line
          .replace(/[\s\p{Cc}]+/gu, ' ')
          .trim()
          .slice(0, shownLength),
      )
      .reverse(),
    rule: rule.id,
  }
}

/** What runners give as the reason where the log may say more; the job's reason stays what it is. */
const reasons: Readonly<Record<string, string>> = {
  '': 'script_failure',
  script_failure: 'script_failure',
  runner_system_failure: 'runner_system_failure',
  runner_external_dependency_failure: 'runner_external_dependency_failure',
  unknown_failure: 'unknown_failure',
}

/** Lines that rules know, the last first. */
function findIn(text: string): Finding[] {
  const lower = lowered(text)
  const findings: Finding[] = []
  let after = 0
  let isEarlier = false
  let left = lookedAt
  for (let end = text.length; end > 0 && left > 0; ) {
    const start = text.lastIndexOf('\n', end - 1) + 1
    const stop = Math.min(end, start + 2 * lineLength)
    const found = index.find(lower, start, stop)
    if (found.length > 0) left--
    const line = found.length > 0 || isCommandAt(text, start) ? plainLine(text.slice(start, stop)) : undefined
    if (line !== undefined && commandLine.test(line)) {
      isEarlier = true
    } else if (line !== undefined && !isOutside(line)) {
      const loss = Math.min(mostLoss, after * lossPerLine) + (isEarlier ? earlierCommandLoss : 0)
      for (const at of found) {
        const rule = logRules[at]!
        if (speaksFor(rule, line)) findings.push({ rule, line, sureness: rule.confidence - loss })
      }
    }
    if (end - start > 1) after++
    end = start - 1
  }
  return findings
}

/** In lower case, character for character: of all letters only this one becomes two. */
const lowered = (text: string) => text.replaceAll('\u0130', 'i').toLowerCase()

function speaksFor(rule: LogRule, line: string): boolean {
  if (quiet.test(line) || (rule.cause && (title.test(line) || goesOn.test(line)))) return false
  if (rule.id === 'network' && toItself.test(line)) return false
  return rule.match.test(line)
}

/** Lines that tell of success, warn only, or quote source code. */
const quiet =
  /^\s*(✓|✔|√|☑|ok \d|ok\b|PASS\b|--- PASS|\[ +OK +\]|[Ww]arn(ing)?\b|npm (warn|WARN)\b|W: |>?\s*\d+ *\||\+ ?echo )|\b(PASSED|\.\.\. ok)$|\bwarning: |\[WARN(ING)?\]|\bWARN(ING)? {0,2}[\w[(:]/
/** Titles of tests, what they expected, settings, and notes of a program that goes on: no cause of a failure. */
const title =
  /^\s*(✗|✕|✖|×|●|not ok\b|should\b|it\b|test\b|\d+\) |FAIL(ED)?\b|--- FAIL|(Expected|Received)\b:|expect|assert|[-+] |E {3,}assert|at \S+ \(|\[?(debug|info|trace|DEBUG|INFO|TRACE)\b|[A-Z_]{2,}=)|\b(DEBUG|INFO|TRACE) |\b(want|expected) ["'`]/
/** It is tried again, or does not matter. */
const goesOn =
  /retrying|will retry|\bretry (in|after|\d)|attempt \d|trying again|\btry \d|\b(ignored|ignoring|skipping|skipped|non-fatal|as expected|recovered|optional)\b/i
/** A service of the job's own. */
const toItself = /\b(127\.0\.0\.1|localhost|0\.0\.0\.0|\[?::1\]?)(:\d+)?\b/
/** How runners show the command that they begin. */
const commandLine = /^\$ \S/

function isCommandAt(text: string, start: number): boolean {
  return text.startsWith('$ ', start) || text.startsWith('\u001b[32;1m$ ', start)
}

/** What runners say around the script: it only repeats that the job failed. */
const isOutside = (line: string) =>
  /^(ERROR: Job failed|Cleaning up|Uploading artifacts|WARNING: after_script)/.test(line)

/** Without colours, the times of runners and the counts of Docker's builds, and of a line that was overwritten what is seen at its end. */
function plainLine(line: string): string {
  return line
    .replace(/\u001b\[[0-9;]*[A-Za-z]/g, '')
    .replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z \d\d[OE]\+? ?/, '')
    .trimEnd()
    .split('\r')
    .at(-1)!
    .slice(0, lineLength)
}

/** The log up to the end of the script's own section, where runners mark it: what follows is no reason for its end. */
function ofScript(traceTail: string): string {
  const end = /section_end:\d+:(?:step_script|build_script)\r/.exec(traceTail)
  return end ? traceTail.slice(0, end.index) : traceTail
}

export default definePlugin({
  id: 'classifier.log-patterns',
  apiVersion: 1,
  setup(host) {
    host.classify('log-patterns', judgeLog)
  },
})
