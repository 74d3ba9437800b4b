/** What happens to one pipeline, as server-sent events: `GET /pipelines/:id/events`. */
import { can } from '../core/authorize.js'
import { hasEnded } from '../core/pipeline.js'
import { getProject } from '../core/store/projects.js'
import type { Route, UserCall } from '../http/call.js'
import { writePiece } from '../http/write-piece.js'
import { Changes } from './changes.js'
import { beginEvents, keepAlive } from './event-stream.js'
import { pipelineOf } from './found.js'
import { PipelineSnapshots, type Snapshot } from './pipeline-snapshots.js'
import { signedInRoute } from './route.js'

/** The route, with what those who follow pipelines share. */
export function pipelineEventRoutes(): readonly Route[] {
  const snapshots = new PipelineSnapshots()
  return [
    signedInRoute('get', '/pipelines/:id/events', async (call) => {
      const pipeline = await pipelineOf(call)
      await sendEvents(call, snapshots, pipeline.id, pipeline.projectId, call.params.boolean('changes') === true)
      return undefined
    }),
  ]
}

/**
 * Each event is the whole state, and the last one that of the end. With `changes` only the first is: those after it hold
 * what has changed, and they go on, since a pipeline that has ended may be run again.
 */
async function sendEvents(
  call: UserCall,
  snapshots: PipelineSnapshots,
  pipelineId: number,
  projectId: number,
  onlyChanges: boolean,
): Promise<void> {
  const { core, actor, res } = call
  const project = await getProject(core.store.read, projectId)
  const debugLogs = await can(core, actor, 'operate', project)
  beginEvents(res, call.requestId)
  const changes = new Changes(res)
  let latest: Snapshot | undefined
  let lost = false
  const stops = [
    snapshots.watch(core, pipelineId, debugLogs, (now) => {
      lost = now === undefined
      latest = now
      changes.signal()
    }),
    keepAlive(call, async (again) => {
      const now = await getProject(core.store.read, projectId)
      // Who has another level now sees other things of it, and asks anew.
      return (await can(core, again, 'read', now)) && (await can(core, again, 'operate', now)) === debugLogs
    }),
  ]
  try {
    for (let sent: Snapshot | undefined; !changes.gone && !lost; ) {
      if (latest && latest !== sent) {
        const now = latest
        await writePiece(res, onlyChanges && sent ? changedText(pipelineId, sent, now) : wholeText(pipelineId, now))
        sent = now
        if (!onlyChanges && hasEnded(now.status)) break
      }
      await changes.next()
    }
  } finally {
    for (const stop of stops) stop()
    res.end()
  }
}

function wholeText(id: number, { status, jobs }: Snapshot): string {
  return `event: pipeline\ndata: {"id":${id},"status":${JSON.stringify(status)},"jobs":[${[...jobs.values()].join(',')}]}\n\n`
}

function changedText(id: number, before: Snapshot, { status, jobs }: Snapshot): string {
  const changed = [...jobs].filter(([job, text]) => before.jobs.get(job) !== text).map(([, text]) => text)
  const gone = [...before.jobs.keys()].filter((job) => !jobs.has(job))
  return `event: changes\ndata: {"id":${id},"status":${JSON.stringify(status)},"jobs":[${changed.join(',')}],"gone":${JSON.stringify(gone)}}\n\n`
}
