/** What GitLab's API lacks: background tasks, and a look at a job from inside. */
import type { Artifact } from '../core/artifact.js'
import { SignalboxError } from '../core/errors.js'
import { drainRunner } from '../core/operations/drain-runner.js'
import { prioritizeJob } from '../core/operations/prioritize-job.js'
import { showJobToken } from '../core/operations/show-job-token.js'
import type { Tasks } from '../core/scheduler/tasks.js'
import { findArtifact } from '../core/store/artifacts.js'
import { listJobEvents, type StoredEvent } from '../core/store/events.js'
import { type Call, idFrom, type Reply, type Route, type UserCall } from '../http/call.js'
import { toEvent, toTask } from './convert.js'
import { operatedJobOf } from './found.js'
import { adminRoute, signedInRoute } from './route.js'

/** The routes; `tasks` are those of the node that answers. */
export function apiRoutes(tasks: Tasks): readonly Route[] {
  return [
    adminRoute('get', '/tasks', async () => ({ status: 200, body: (await tasks.list()).map(toTask) })),
    adminRoute('post', '/tasks/:name/run', async (call) => {
      const result = await tasks.run(call.path('name'))
      return { status: 200, body: { ...(await taskOf(tasks, call)), result } }
    }),
    adminRoute('post', '/tasks/:name/pause', (call) => setPaused(tasks, call, true)),
    adminRoute('post', '/tasks/:name/resume', (call) => setPaused(tasks, call, false)),
    adminRoute('post', '/runners/:id/drain', async ({ core, path }) => {
      const id = idFrom(path('id'))
      if (id === undefined) throw new SignalboxError('not_found', 'there is no such runner')
      return { status: 200, body: { id, paused: true, open_leases: await drainRunner(core, id) } }
    }),
    adminRoute('put', '/jobs/:id/priority', async (call) => {
      const priority = call.params.integer('priority')
      if (priority === undefined) throw new SignalboxError('invalid', 'priority is missing')
      const jobId = jobIdOf(call)
      await prioritizeJob(call.core, { jobId, priority, userId: call.actor.user.id })
      return { status: 200, body: { id: jobId, priority } }
    }),
    adminRoute('get', '/jobs/:id/token', showToken),
    signedInRoute('get', '/jobs/:id/events', showEvents),
  ]
}

async function taskOf(tasks: Tasks, call: Call): Promise<object> {
  const row = (await tasks.list()).find((task) => task.name === call.path('name'))
  if (!row) throw new SignalboxError('not_found', 'there is no such task')
  return toTask(row)
}

async function setPaused(tasks: Tasks, call: Call, paused: boolean): Promise<Reply> {
  await tasks.setPaused(call.path('name'), paused)
  return { status: 200, body: await taskOf(tasks, call) }
}

/** It is written down who has asked. */
async function showToken(call: UserCall): Promise<Reply> {
  const { core, actor } = call
  return { status: 200, body: { token: await showJobToken(core, { jobId: jobIdOf(call), userId: actor.user.id }) } }
}

/** For those who may operate the project: it names runners. */
async function showEvents(call: UserCall): Promise<Reply> {
  const { read } = call.core.store
  const { id } = await operatedJobOf(call)
  const log = await findArtifact(read, id, 'trace')
  const events = [...(await listJobEvents(read, id)), ...(log ? [archiving(log)] : [])]
  return { status: 200, body: events.map(toEvent) }
}

/** Every job's log is archived, and no row of its own is spent on that: it is told from the artifact. */
function archiving({ id, jobId, projectId, createdAt, sizeBytes }: Artifact): StoredEvent {
  const data = JSON.stringify({ artifact: id, bytes: sizeBytes })
  return { id: 0, at: createdAt, kind: 'log.archived', projectId, pipelineId: null, jobId, runnerId: null, data }
}

function jobIdOf(call: Call): number {
  const id = idFrom(call.path('id'))
  if (id === undefined) throw new SignalboxError('not_found', 'there is no such job')
  return id
}
