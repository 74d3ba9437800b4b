/** `signalbox job show|log|cancel|retry|play|token`. */
import { is, type JobStatus } from '../../core/lifecycle/job-machine.js'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { LineReader, readableLog } from '../log-text.js'
import { printable } from '../printable.js'
import { followToEnd } from '../reconnect.js'
import { statusText } from '../terminal.js'
import { parseVariables } from '../variables.js'
import { type Failure, failureLines } from './inspect.js'

interface Job {
  id: number
  name: string
  stage: string
  status: string
  ref: string
  failure_reason?: string
  web_url: string
}

/** Prints one job with its failure. */
export async function showJob(id: string, options: { json?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  const { project_id: projectId, failure } = await find(id)
  const job = await client().get<Job>(`/api/v4/projects/${projectId}/jobs/${id}`)
  if (options.json) return json(failure === undefined ? job : { ...job, failure })
  terminal.out(`job ${job.id} ${printable(job.name)} ${statusText(terminal, job.status)}`)
  for (const [key, value] of Object.entries(job)) {
    if (value === null || typeof value === 'object' || ['id', 'name', 'status'].includes(key)) continue
    terminal.out(`${key}: ${printable(String(value))}`)
  }
  if (failure === undefined) return
  terminal.out(`why: ${printable(failure.explanation)}`)
  for (const line of failureLines(failure)) terminal.out(line)
}

/** Prints a job's log, and with `follow` what is still to come. */
export async function printLog(id: string, options: { follow?: boolean }): Promise<void> {
  const { client, terminal } = openContext()
  await find(id)
  const stop = new AbortController()
  const interrupt = () => stop.abort()
  process.once('SIGINT', interrupt)
  const colors = process.stdout.isTTY === true
  const lines = new LineReader()
  let offset = 0
  try {
    await followToEnd({
      signal: stop.signal,
      say: terminal.say,
      async read(alive) {
        const query = `offset=${offset}${options.follow ? '&follow=true' : ''}`
        const bytes = await client().stream(`/api/signalbox/v1/jobs/${id}/log?${query}`, stop.signal)
        alive()
        for await (const chunk of bytes) {
          offset += chunk.length
          terminal.write(readableLog(lines.push(chunk), colors))
        }
        // A coordinator that stops ends the log too; whether the job has ended, only one that is there can say.
        return !options.follow || is('completed', (await find(id)).status)
      },
    })
    terminal.write(readableLog(lines.end(), colors))
  } catch (error) {
    if (!stop.signal.aborted) throw error
    throw new Exit(
      exitCodes.interrupted,
      'stopped following; the job goes on',
      `to cancel it: signalbox job cancel ${id}`,
    )
  } finally {
    process.off('SIGINT', interrupt)
  }
}

/** Cancels, retries or plays a job, and prints what became of it. */
export async function changeJob(
  verb: 'cancel' | 'retry' | 'play',
  id: string,
  options: { json?: boolean; force?: boolean; var?: string[]; input?: string[]; yes?: boolean },
): Promise<void> {
  const { client, terminal, json } = openContext()
  const { project_id: projectId } = await find(id)
  const variables = parseVariables(options.var ?? [])
  const inputs = parseVariables(options.input ?? [], '--input')
  if (verb === 'play' && options.yes !== true && process.stdin.isTTY === true) await confirm(id)
  const body = {
    ...(verb === 'cancel' && options.force ? { force: true } : {}),
    ...(verb === 'play' && variables.length > 0 ? { job_variables_attributes: variables } : {}),
    ...(verb === 'play' && inputs.length > 0
      ? { job_inputs: Object.fromEntries(inputs.map(({ key, value }) => [key, value])) }
      : {}),
  }
  const job = await client().post<Job>(`/api/v4/projects/${projectId}/jobs/${id}/${verb}`, body)
  if (options.json) return json(job)
  terminal.say(`job ${job.id} ${printable(job.name)} ${statusText(terminal, job.status)}`)
}

/** Asks what the job wants asked before a person starts it (`manual_confirmation`). Throws `Exit` for any answer but yes. */
async function confirm(id: string): Promise<void> {
  const { client, terminal } = openContext()
  const why = await client().get<{ manual_confirmation?: string }>(`/api/signalbox/v1/jobs/${id}/why`)
  if (why.manual_confirmation === undefined) return
  const { createInterface } = await import('node:readline/promises')
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await asking.question(`${terminal.colors.bold(printable(why.manual_confirmation))} [y/N] `)
  asking.close()
  if (!/^y(es)?$/i.test(answer.trim())) throw new Exit(exitCodes.failed, 'not started')
}

/** Sets the priority of a job, from -9999 to 9999. */
export async function prioritize(id: string, text: string, options: { json?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  if (!/^[+-]?\d{1,4}$/.test(text)) throw new Exit(exitCodes.usage, `${text} is not a priority`)
  const priority = Number(text)
  const job = await client().put<{ id: number }>(`/api/signalbox/v1/jobs/${encodeURIComponent(id)}/priority`, {
    priority,
  })
  if (options.json) return json(job)
  terminal.say(`job ${job.id}: priority ${priority}`)
}

/** Prints the token of a running job, for whoever debugs it. */
export async function printToken(id: string): Promise<void> {
  const { client, terminal } = openContext()
  const { token } = await client().get<{ token: string }>(`/api/signalbox/v1/jobs/${encodeURIComponent(id)}/token`)
  terminal.out(token)
}

/** Ids of jobs are unique on a coordinator, so no project need be named. */
async function find(id: string): Promise<{ project_id: number; status: JobStatus; failure?: Failure }> {
  if (!/^\d+$/.test(id)) throw new Exit(exitCodes.usage, `${id} is not the id of a job`)
  return openContext()
    .client()
    .get<{ project_id: number; status: JobStatus; failure?: Failure }>(`/api/signalbox/v1/jobs/${id}`)
}
