/** What waits for a runner: `GET /queue`. */
import { explainQueue, type QueuePlace } from '../core/operations/explain-queue.js'
import type { Route } from '../http/call.js'
import { toIso } from './convert.js'
import { signedInRoute } from './route.js'

export const queueRoutes: readonly Route[] = [
  signedInRoute('get', '/queue', async ({ core, actor }) => {
    const places = await explainQueue(core, actor)
    return { status: 200, body: { total: places.length, jobs: places.map(toPlace) } }
  }),
]

function toPlace(place: QueuePlace): object {
  return {
    id: place.id,
    name: place.name,
    pipeline_id: place.pipelineId,
    project_path: place.projectPath,
    priority: place.priority,
    queued_at: toIso(place.queuedAt),
    tags: place.tags,
    fitting: place.fitting,
    reason: place.reason,
  }
}
