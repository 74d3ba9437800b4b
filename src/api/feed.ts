/** That something has changed, for pages that look again then: `GET /events`, as server-sent events. */
import { can } from '../core/authorize.js'
import type { CommittedEvent } from '../core/events.js'
import { findProject } from '../core/store/projects.js'
import type { Route, UserCall } from '../http/call.js'
import { writePiece } from '../http/write-piece.js'
import { Changes } from './changes.js'
import { beginEvents, keepAlive } from './event-stream.js'
import { signedInRoute } from './route.js'

export const feedRoutes: readonly Route[] = [
  signedInRoute('get', '/events', async (call) => {
    await sendFeed(call)
    return undefined
  }),
]

/** Of more than this somebody is only told that there was too much, and looks at everything again. */
const mostWaiting = 500

/** Facts about projects go to those who may read them, all others to administrators. What they hold is asked for elsewhere. */
async function sendFeed(call: UserCall): Promise<void> {
  const { core, actor, res } = call
  beginEvents(res, call.requestId)
  res.write(': from now on\n\n')
  const changes = new Changes(res)
  let waiting: CommittedEvent[] = []
  let lost = false
  // By project: whether it may be seen. Asked again every few seconds, as roles come and go.
  const seen = new Map<number, boolean>()
  const stops = [
    core.events.listen((event) => {
      if (waiting.length < mostWaiting) waiting.push(event)
      else lost = true
      changes.signal()
    }),
    keepAlive(call, async (again) => {
      seen.clear()
      return again.user.isAdmin === actor.user.isAdmin
    }),
  ]
  const maySee = async (projectId: number | null | undefined): Promise<boolean> => {
    if (actor.user.isAdmin === 1) return true
    if (projectId === null || projectId === undefined) return false
    const known = seen.get(projectId)
    if (known !== undefined) return known
    const project = await findProject(core.store.read, projectId)
    const may = project !== undefined && (await can(core, actor, 'read', project))
    seen.set(projectId, may)
    return may
  }
  try {
    while (!changes.gone) {
      const [events, missed] = [waiting, lost]
      waiting = []
      lost = false
      let text = missed ? 'event: lost\ndata: {}\n\n' : ''
      for (const event of events) if (await maySee(event.projectId)) text += changeText(event)
      if (text !== '') await writePiece(res, text)
      await changes.next()
    }
  } finally {
    for (const stop of stops) stop()
    res.end()
  }
}

function changeText({ kind, projectId, pipelineId, jobId, runnerId }: CommittedEvent): string {
  const about = {
    kind,
    project_id: projectId ?? null,
    pipeline_id: pipelineId ?? null,
    job_id: jobId ?? null,
    runner_id: runnerId ?? null,
  }
  return `event: change\ndata: ${JSON.stringify(about)}\n\n`
}
