/** `signalbox audit list|verify`. */
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { printable } from '../printable.js'
import { table } from '../terminal.js'

interface Entry {
  id: number
  at: string
  kind: string
  user: { username: string | null } | null
  project_id: number | null
  runner_id: number | null
  data: Record<string, unknown>
}

interface Verdict {
  valid: boolean
  entries: number
  unknown: number
  fault: { id: number; what: string } | null
  head: string
}

/** Prints the newest entries of the audit log. */
export async function listAudit(options: { kind?: string; limit?: string; json?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  const query = new URLSearchParams({ limit: options.limit ?? '50', ...(options.kind ? { kind: options.kind } : {}) })
  const entries = await client().get<Entry[]>(`/api/signalbox/v1/audit?${query.toString()}`)
  if (options.json) return json(entries)
  table(
    terminal,
    ['ID', 'AT', 'USER', 'WHAT', 'ABOUT'],
    entries.map((one) => [String(one.id), one.at, one.user?.username ?? '', one.kind, printable(about(one))]),
  )
}

function about({ project_id, runner_id, data }: Entry): string {
  return Object.entries({ project: project_id, runner: runner_id, ...data })
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')
}

/** Checks the whole audit log; ends with 1 if it is not as it was written. */
export async function verifyAudit(options: { head?: string; json?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  const query = options.head === undefined ? '' : `?head=${encodeURIComponent(options.head)}`
  const verdict = await client().get<Verdict>(`/api/signalbox/v1/audit/verify${query}`)
  if (options.json) json(verdict)
  else if (verdict.valid) {
    const unknown = verdict.unknown === 0 ? '' : `, ${verdict.unknown} of them made with another key file`
    terminal.say(`the audit log is whole: ${verdict.entries} entries${unknown}; it ends with`)
    terminal.out(verdict.head)
  }
  const { fault } = verdict
  if (fault) throw new Exit(exitCodes.failed, options.json ? '' : `entry ${fault.id} of the audit log ${fault.what}`)
}
