/** `signalbox job why ID` and `signalbox inspect job ID`. */
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { printable } from '../printable.js'
import { statusText, table } from '../terminal.js'

/** Why a job failed. */
export interface Failure {
  reason: string
  class: string
  explanation: string
  retryable: boolean | null
  confidence: number | null
  decided_by: string | null
  lines: string[]
}

/** What is said of a failure below its sentence. */
export function failureLines({ class: name, retryable, decided_by: by, confidence, lines }: Failure): string[] {
  const sure = confidence === null ? '' : `, ${Math.round(confidence * 100)} % sure`
  return [
    `class: ${printable(name)}${by === null ? '' : ` (decided by ${printable(by)}${sure})`}`,
    ...(retryable === null ? [] : [`a retry ${retryable ? 'may help' : 'will hardly help'}`]),
    ...lines.map((line) => `  | ${printable(line)}`),
  ]
}

interface Why {
  job_id: number
  name: string
  status: string
  summary: string
  since: string | null
  expected_start: string | null
  place?: number
  needs?: { tags: string[]; protected: boolean; features: string[] }
  runners?: { id: number; description: string; fits: boolean; lacks: string[] }[]
  blocked_by?: { id: number; name: string; status: string }[]
  manual_confirmation?: string
  failure?: Failure
  last_refusal?: { at: string; reason: string; runner_id: number }
}

/** Prints what a job waits for, and what each runner lacks for it. */
export async function why(id: string, options: { json?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  const found = await client().get<Why>(`/api/signalbox/v1/jobs/${jobId(id)}/why`)
  if (options.json) return json(found)
  terminal.out(`job ${found.job_id} ${printable(found.name)} ${statusText(terminal, found.status)}`)
  terminal.out(printable(found.summary))
  if (found.failure) for (const line of failureLines(found.failure)) terminal.out(line)
  if (found.manual_confirmation) terminal.out(`asks: ${printable(found.manual_confirmation)}`)
  if (found.since) terminal.out(`since: ${found.since}`)
  if (found.expected_start) terminal.out(`expected start: ${found.expected_start}`)
  if (found.needs) {
    const { tags, features } = found.needs
    terminal.out(`needs: tags ${list(tags)}; features ${list(features)}; protected ref ${found.needs.protected}`)
  }
  for (const job of found.blocked_by ?? []) terminal.out(`after: job ${job.id} ${printable(job.name)} (${job.status})`)
  for (const runner of found.runners ?? []) {
    const said = runner.fits ? 'fits' : runner.lacks.join(', and ')
    terminal.out(`runner ${runner.id} (${printable(runner.description)}): ${printable(said)}`)
  }
  const last = found.last_refusal
  if (last) terminal.out(`last offer: ${last.at} to runner ${last.runner_id}: ${printable(last.reason)}`)
}

const list = (names: readonly string[]) => (names.length === 0 ? 'none' : names.map(printable).join(', '))

interface Event {
  at: string
  kind: string
  runner_id: number | null
  data: Record<string, string | number | boolean | null>
}

/** Every fact about a job, oldest first. */
export async function inspectJob(id: string, options: { json?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  const events = await client().get<Event[]>(`/api/signalbox/v1/jobs/${jobId(id)}/events`)
  if (options.json) return json(events)
  table(
    terminal,
    ['TIME', 'WHAT', 'STATUS', 'BY', 'DETAILS'],
    events.map(({ at, kind, runner_id: runner, data }) => {
      const { event, from, to, by, ...rest } = data
      const details = Object.entries(rest).filter(([, value]) => value !== null)
      return [
        at,
        typeof event === 'string' ? event : kind,
        from === undefined ? '' : `${from} → ${to}`,
        by !== undefined && by !== null ? `user ${by}` : runner === null ? 'server' : `runner ${runner}`,
        details.map(([key, value]) => `${key}=${printable(String(value))}`).join(' '),
      ]
    }),
  )
}

function jobId(id: string): string {
  if (!/^\d+$/.test(id)) throw new Exit(exitCodes.usage, `${id} is not the id of a job`)
  return id
}
