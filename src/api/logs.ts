/**
 * Logs of any length, for pages that show a part of them.
 *
 * - `GET /jobs/:id/log?offset=0&end=1000`: some of its bytes; `follow=true`: and what is added until the job ends
 * - `GET /jobs/:id/log/index`: where lines, sections and the failure are
 * - `GET /jobs/:id/log/search?q=text`: the lines with a text, of the whole log
 */
import { can, mayReadLog } from '../core/authorize.js'
import { SignalboxError } from '../core/errors.js'
import type { Job } from '../core/job.js'
import { indexLog, searchLog } from '../core/operations/read-log.js'
import { getProject } from '../core/store/projects.js'
import type { Route, UserCall } from '../http/call.js'
import { toLogIndex } from './convert.js'
import { jobOf } from './found.js'
import { sendLog } from './log-stream.js'
import { signedInRoute } from './route.js'
import { whileAllowed } from './while-allowed.js'

export const logRoutes: readonly Route[] = [
  signedInRoute('get', '/jobs/:id/log', async (call) => {
    const job = await readableJobOf(call)
    const end = call.params.text('end')
    const project = await projectOf(call, job)
    const options = {
      offset: offsetOf('offset', call.params.text('offset') ?? '0'),
      follow: call.params.boolean('follow') === true,
      debug: await can(call.core, call.actor, 'operate', project),
      requestId: call.requestId,
      ...(end === undefined ? {} : { end: offsetOf('end', end) }),
    }
    const stop = whileAllowed(call, async (again) => mayReadLog(call.core, again, await projectOf(call, job), job.id))
    await sendLog(call.core, job.id, call.res, options).finally(stop)
    return undefined
  }),
  signedInRoute('get', '/jobs/:id/log/index', async (call) => {
    const job = await readableJobOf(call)
    return { status: 200, body: toLogIndex(await indexLog(call.core, job)) }
  }),
  signedInRoute('get', '/jobs/:id/log/search', async (call) => {
    const job = await readableJobOf(call)
    const text = call.params.requiredText('q', { max: 200 })
    return { status: 200, body: await searchLog(call.core, job, { text, limit: mostMatches }) }
  }),
]

const mostMatches = 2000

/** The job, for those who may read its log. */
async function readableJobOf(call: UserCall): Promise<Job> {
  const job = await jobOf(call)
  const project = await projectOf(call, job)
  if (await mayReadLog(call.core, call.actor, project, job.id)) return job
  throw new SignalboxError('forbidden', 'the log of a debugging shell is shown to those who may operate the project')
}

const projectOf = (call: UserCall, job: Job) => getProject(call.core.store.read, job.projectId)

function offsetOf(name: string, text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new SignalboxError('invalid', `${name} is not a number of bytes`)
  return Number(text)
}
