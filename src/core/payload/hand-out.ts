/** What a stored payload becomes when a runner is given the job: each mark is replaced by what only that moment knows. */
import type { PlanVariable } from '../ci-config/variables.js'
import { idTokenMark, readStored, type Slots } from './marks.js'
import { textOf, textOfAll } from './variable-text.js'

/** What the runner's metrics tell of the queue that the job came out of. Rule: gitlab app/services/ci/register_job_service.rb */
export interface QueueFigures {
  /** Jobs that the runner could have been given, this one counted. */
  size: number
  /** Where it stood among those that were tried. */
  depth: number
}

/** What is known only when a runner is given the job. */
export interface HandOut {
  token: string
  timeoutS: number
  runner: { id: number; description: string; tags: readonly string[] }
  /** Whole seconds in the queue; null if unknown. */
  waitedS: number | null
  /** `project_jobs_running_on_instance_runners_count`: "0" to "4", "5+", "+Inf". */
  running: string
  queue: QueueFigures
  /** Predefined variables of the pipeline, as they were when the payload was built. */
  pipelineVariables: readonly PlanVariable[]
  /** Signs an ID token with the claims of its mark, for a job that has such. */
  idToken?: (claims: string) => string
}

/** What this hand-out puts in the slots of a payload. */
export function slotsOf({ token, timeoutS, runner, waitedS, running, queue, pipelineVariables }: HandOut): Slots {
  return {
    token,
    running,
    timeout: timeoutS,
    waited: waitedS,
    size: queue.size,
    depth: queue.depth,
    idToken: '',
    runner: runnerVariables(runner),
    pipeline: textOfAll(pipelineVariables),
  }
}

/** Marks that stand for a part of a text; all others stand for a whole value. */
const inTexts = ['token', 'running']

/** Returns the payload for one hand-out as JSON text in UTF-8, ready to be sent. */
export function spliceHandOut(stored: Uint8Array, handOut: HandOut): Buffer {
  const { text, markStart } = readStored(stored)
  const slots = slotsOf(handOut)
  const { idToken } = handOut
  // A mark that stands for a whole value goes with its quotes, one inside a text without.
  const parts = text.split(markStart)
  let out = parts[0]!
  for (const part of parts.slice(1)) {
    const end = part.indexOf('@')
    const name = part.slice(0, end)
    if (name.startsWith(idTokenMark)) out += (idToken?.(name.slice(idTokenMark.length)) ?? '') + part.slice(end + 1)
    else if (inTexts.includes(name)) out += slots[name as keyof Slots] + part.slice(end + 1)
    else out = out.slice(0, -1) + slots[name as keyof Slots] + part.slice(end + 2)
  }
  return Buffer.from(out)
}

/** Returns the values that the runner is told to mask, besides the job's token. `idToken` signs those of this hand-out. */
export function maskedIn(stored: Uint8Array, idToken: (claims: string) => string): string[] {
  const { text, markStart } = readStored(stored)
  const { variables }: { variables: { value?: string; masked?: boolean }[] } = JSON.parse(text)
  return variables.flatMap(({ value, masked }) => {
    if (!masked || !value) return []
    const tokenStart = markStart + idTokenMark
    if (value.startsWith(tokenStart)) return [idToken(value.slice(tokenStart.length, -1))]
    return value.includes(markStart) ? [] : [value]
  })
}

function runnerVariables(runner: HandOut['runner']): string {
  const list: [string, string][] = [
    ['CI_RUNNER_ID', String(runner.id)],
    ['CI_RUNNER_DESCRIPTION', runner.description],
    ['CI_RUNNER_TAGS', JSON.stringify(runner.tags)],
  ]
  return list.map(([key, value]) => textOf({ key, value, raw: true }, true)).join(',')
}
