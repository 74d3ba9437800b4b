/** What the coordinator says of a runner that is asked about by its own token. */
import { type ClientTls, tlsTrouble } from '../runner/client-tls.js'
import { Exit, exitCodes } from './exit.js'
import { fetchBy } from './tls-fetch.js'

/** A runner as its coordinator has it (`GET /api/signalbox/v1/runner`). */
export interface OwnRunner {
  id: number
  description: string
  runner_type: string
  status: string
  paused: boolean
  tag_list: string[]
  run_untagged: boolean
  job_limit: number | null
  open_leases: number
}

/** What came of asking; `refused`: nobody there has this token. */
export type Asked =
  | { is: 'known'; runner: OwnRunner }
  | { is: 'refused' }
  | { is: 'unreachable'; message: string }
  | { is: 'not asked'; message: string }

/** Asks the coordinator about the runner of the token. Never rejects. */
export async function askAbout(url: string, token: string, tls?: ClientTls): Promise<Asked> {
  const base = httpBase(url)
  if (base === undefined) return { is: 'not asked', message: `${url} is no address of HTTP` }
  let response: Response
  try {
    response = await fetchBy(tls)(`${base}/api/signalbox/v1/runner`, {
      headers: { 'RUNNER-TOKEN': token },
      redirect: 'error',
      signal: AbortSignal.timeout(askWithinMs),
    })
  } catch (error) {
    return { is: 'unreachable', message: `no answer from ${base}: ${causeOf(error)}` }
  }
  if (response.status === 403 && response.headers.get('content-type')?.startsWith('text/plain'))
    return { is: 'unreachable', message: `${base} answered 403: ${(await response.text()).trim()}` }
  if (response.status === 401 || response.status === 403) return { is: 'refused' }
  const runner = response.ok
    ? ((await response.json().catch(() => undefined)) as OwnRunner | undefined)
    : await response.body?.cancel().then(() => undefined)
  return typeof runner?.id === 'number'
    ? { is: 'known', runner }
    : { is: 'unreachable', message: `${base} answered ${response.status}` }
}

/** Registers a runner with a registration token. Returns its own token. Throws `Exit`. */
export async function registerAt(url: string, body: Record<string, unknown>, tls?: ClientTls): Promise<string> {
  return (await askForRunners('POST', url, body, tls)).token!
}

/** Deletes the runner of the token. Throws `Exit` for any answer that does not say so. */
export async function unregisterAt(url: string, token: string, tls?: ClientTls): Promise<void> {
  await askForRunners('DELETE', url, { token }, tls)
}

async function askForRunners(method: 'POST' | 'DELETE', url: string, body: Record<string, unknown>, tls?: ClientTls) {
  const base = httpBase(url)
  if (base === undefined) throw new Exit(exitCodes.usage, `a runner is registered over HTTP: ${url} is no such address`)
  const response = await fetchBy(tls)(`${base}/api/v4/runners`, {
    method,
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    redirect: 'error',
    signal: AbortSignal.timeout(askWithinMs),
  }).catch((error: unknown) => {
    throw new Exit(exitCodes.unreachable, `no answer from ${base}: ${causeOf(error)}`)
  })
  const answer = (await response.json().catch(() => undefined)) as { token?: string; message?: unknown } | undefined
  if (response.ok && (method === 'DELETE' || typeof answer?.token === 'string')) return answer ?? {}
  const code = response.status === 403 ? exitCodes.notAllowed : exitCodes.unreachable
  const why = answer?.message === undefined ? '' : `: ${JSON.stringify(answer.message)}`
  throw new Exit(code, `${base} answered ${response.status}${why}`)
}

const askWithinMs = 30_000

/** The HTTP face at the same address; undefined: there need not be one. */
function httpBase(url: string): string | undefined {
  const address = url.replace(/^ws/, 'http').replace(/\/+$/, '')
  return /^https?:\/\//.test(address) && URL.canParse(address) ? address : undefined
}

/** The system's word for it, which `fetch` hides. */
function causeOf(error: unknown): string {
  const { message, cause } = error as Error
  const trouble = tlsTrouble(cause ?? error)
  if (trouble !== undefined) return trouble
  return cause instanceof Error && cause.message !== '' ? cause.message : message
}
