/** `signalbox pipeline run|list|show|watch|cancel|retry`. */
import { spawnSync } from 'node:child_process'
import { parseDuration } from '../../core/ci-config/duration.js'
import { is, type JobStatus } from '../../core/lifecycle/job-machine.js'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { type FollowedPipeline, jobLine, PipelineView, shownLines } from '../follow.js'
import { remoteProject } from '../project-of.js'
import { followToEnd } from '../reconnect.js'
import { readEvents } from '../sse.js'
import { duration, statusText, type Terminal, table } from '../terminal.js'
import { parseVariables } from '../variables.js'

interface Pipeline {
  id: number
  iid: number
  project_id: number
  status: string
  ref: string
  sha: string
  source: string
  created_at: string
  duration: number | null
  web_url: string
}

interface Job {
  id: number
  name: string
  stage: string
  status: string
  duration: number | null
  allow_failure: boolean
  failure_reason?: string
}

interface Common {
  project?: string
  json?: boolean
}

/** Starts a pipeline, and with `watch` follows it to its end. */
export async function runPipeline(options: Common & { ref: string; var?: string[]; watch?: boolean }): Promise<void> {
  const { client, project, terminal, json } = openContext()
  const pipeline = await client().post<Pipeline>(`/api/v4/projects/${project(options.project)}/pipeline`, {
    ref: options.ref,
    variables: parseVariables(options.var ?? []),
  })
  if (options.watch) {
    if (!options.json) terminal.say(`pipeline ${pipeline.id} created`)
    return follow(pipeline.id, options)
  }
  if (options.json) return json(pipeline)
  terminal.out(String(pipeline.id))
}

/** Prints the newest pipelines of a project. */
export async function listPipelines(options: Common & { ref?: string; status?: string; limit: string }): Promise<void> {
  const { client, project, terminal, json } = openContext()
  const query = new URLSearchParams()
  if (options.ref) query.set('ref', options.ref)
  if (options.status) query.set('status', options.status)
  const mark = query.size > 0 ? `?${query.toString()}` : ''
  const limit = Number(options.limit)
  if (!Number.isSafeInteger(limit) || limit < 1) throw new Exit(exitCodes.usage, '--limit must be a whole number')
  const pipelines = await client().list<Pipeline>(
    `/api/v4/projects/${project(options.project)}/pipelines${mark}`,
    limit,
  )
  if (options.json) return json(pipelines)
  table(
    terminal,
    ['ID', 'STATUS', 'REF', 'SHA', 'SOURCE', 'CREATED'],
    pipelines.map((one) => [String(one.id), one.status, one.ref, one.sha.slice(0, 8), one.source, one.created_at]),
  )
}

/** Prints a pipeline with its jobs. */
export async function showPipeline(id: string, options: Common): Promise<void> {
  const { terminal, json } = openContext()
  const { pipeline, jobs } = await load(id)
  if (options.json) return json({ ...pipeline, jobs })
  terminal.out(
    `pipeline ${pipeline.id} ${statusText(terminal, pipeline.status)} ${duration(pipeline.duration)}`.trimEnd(),
  )
  terminal.out(`${pipeline.source} of ${pipeline.ref} at ${pipeline.sha.slice(0, 8)}`)
  table(
    terminal,
    ['ID', 'STAGE', 'NAME', 'STATUS', 'TOOK', ''],
    jobs.map((job) => [
      String(job.id),
      job.stage,
      job.name,
      job.status,
      duration(job.duration),
      job.status === 'failed' ? `${job.failure_reason ?? ''}${job.allow_failure ? ' (allowed)' : ''}` : '',
    ]),
  )
}

/** Follows a pipeline, or the newest one; its outcome is the exit code. */
export async function watchPipeline(id: string | undefined, options: Common & { timeout?: string }): Promise<void> {
  return follow(id === undefined ? await findNewest(options) : Number(id), options)
}

/**
 * The pipeline that is meant where none is named: inside a clone of the project the newest of the commit that is checked
 * out, of its branch before others; elsewhere the newest of all. Another commit's success would say nothing about this one.
 */
async function findNewest(options: Common): Promise<number> {
  const { client, project, terminal, env, cwd } = openContext()
  const newest = async (query: Record<string, string>) => {
    const [one] = await client().list<Pipeline>(
      `/api/v4/projects/${project(options.project)}/pipelines?${new URLSearchParams(query).toString()}`,
      1,
    )
    return one
  }
  const own = remoteProject(cwd, client().url)
  const named = options.project || env.SIGNALBOX_PROJECT
  const checkedOut = own !== undefined && (!named || named === own) ? checkedOutCommit(cwd) : undefined
  const where = checkedOut && `${checkedOut.branch ?? 'HEAD'} (${checkedOut.sha.slice(0, 8)})`
  const { sha, branch } = checkedOut ?? {}
  const found =
    sha === undefined ? await newest({}) : ((branch && (await newest({ sha, ref: branch }))) ?? (await newest({ sha })))
  if (!found) {
    throw new Exit(
      exitCodes.notFound,
      where ? `${where} has no pipeline here` : 'the project has no pipelines',
      where ? 'push it, or give the id of a pipeline' : '',
    )
  }
  terminal.say(`watching pipeline ${found.id} of ${found.ref} (${found.sha.slice(0, 8)})`)
  return found.id
}

/** What is checked out in this folder; undefined: nothing is. */
function checkedOutCommit(cwd: string): { sha: string; branch: string | undefined } | undefined {
  const git = (...args: string[]) => {
    const { status, stdout } = spawnSync('git', args, { cwd, encoding: 'utf8' })
    return status === 0 ? stdout.trim() : undefined
  }
  const sha = git('rev-parse', '--verify', '--quiet', 'HEAD')
  return sha === undefined ? undefined : { sha, branch: git('symbolic-ref', '--short', '--quiet', 'HEAD') }
}

/** Cancels or retries a pipeline, and prints what became of it. */
export async function changePipeline(verb: 'cancel' | 'retry', id: string, options: Common): Promise<void> {
  const { client, terminal, json } = openContext()
  const { project_id: projectId } = await find(id)
  const pipeline = await client().post<Pipeline>(`/api/v4/projects/${projectId}/pipelines/${id}/${verb}`)
  if (options.json) return json(pipeline)
  terminal.say(`pipeline ${pipeline.id} ${statusText(terminal, pipeline.status)}`)
}

/** Follows to the end; the exit code is the pipeline's. */
async function follow(id: number, options: Common & { timeout?: string }): Promise<void> {
  const { client, terminal, json } = openContext()
  const stop = new AbortController()
  let timedOut = false
  const timer =
    options.timeout === undefined
      ? undefined
      : setTimeout(() => {
          timedOut = true
          stop.abort()
        }, seconds(options.timeout) * 1000)
  let interrupted = false
  const interrupt = () => {
    interrupted = true
    stop.abort()
  }
  process.once('SIGINT', interrupt)
  const view = options.json ? undefined : new PipelineView(terminal)
  let last: (FollowedPipeline & { status: JobStatus }) | undefined
  try {
    await followToEnd({
      signal: stop.signal,
      say: terminal.say,
      async read(alive) {
        const bytes = await client().stream(`/api/signalbox/v1/pipelines/${id}/events`, stop.signal)
        for await (const event of readEvents(bytes)) {
          if (event.event !== 'pipeline') continue
          alive()
          last = JSON.parse(event.data) as FollowedPipeline & { status: JobStatus }
          view?.update(last)
        }
        return last !== undefined && is('stopped', last.status)
      },
    })
  } catch (error) {
    if (!stop.signal.aborted) throw error
  } finally {
    clearTimeout(timer)
    process.off('SIGINT', interrupt)
    view?.close()
  }
  if (timedOut) throw new Exit(exitCodes.timedOut, `pipeline ${id} is still ${last?.status ?? 'unknown'}`)
  if (interrupted) {
    throw new Exit(
      exitCodes.interrupted,
      'stopped watching; the pipeline goes on',
      `to cancel it: signalbox pipeline cancel ${id}`,
    )
  }
  if (!last) return
  if (options.json) json((await load(String(id))).pipeline)
  else {
    if (terminal.live) sayWhy(terminal, last)
    terminal.say(`pipeline ${id} ${statusText(terminal, last.status)}`)
  }
  const good = ['success', 'skipped', 'manual', 'scheduled']
  if (!good.includes(last.status)) throw new Exit(exitCodes.failed)
}

/** Below the last picture, which has room for one line of each job: what has failed, and the lines that show why. */
function sayWhy(terminal: Terminal, pipeline: FollowedPipeline): void {
  for (const job of pipeline.jobs.filter((one) => one.status === 'failed' && !one.allow_failure)) {
    terminal.say(jobLine(terminal, job, job.name))
    for (const line of shownLines(terminal, job)) terminal.say(line)
  }
}

function seconds(text: string): number {
  const value = parseDuration(text)
  if (value === undefined) throw new Exit(exitCodes.usage, `--timeout: ${text} is not a duration`)
  return value
}

async function load(id: string): Promise<{ pipeline: Pipeline; jobs: Job[] }> {
  const { client } = openContext()
  const { project_id: projectId } = await find(id)
  const base = `/api/v4/projects/${projectId}/pipelines/${id}`
  const [pipeline, jobs] = await Promise.all([client().get<Pipeline>(base), client().list<Job>(`${base}/jobs`, 2000)])
  return { pipeline, jobs: jobs.sort((a, b) => a.id - b.id) }
}

/** Ids of pipelines are unique on a coordinator, so no project need be named. */
async function find(id: string): Promise<{ project_id: number }> {
  if (!/^\d+$/.test(id)) throw new Exit(exitCodes.usage, `${id} is not the id of a pipeline`)
  return openContext().client().get<{ project_id: number }>(`/api/signalbox/v1/pipelines/${id}`)
}
