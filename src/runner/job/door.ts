/** The coordinator's HTTP interface, as the stages of a job use it. */
import type { ArtifactDoor } from '../artifacts/upload.js'
import type { JobContext } from './context.js'
import { Patience } from './patience.js'

// GitLab Runner, `helpers/retry`: between two tries of an upload or a download.
const maxPauseMs = 5_000

/** The coordinator's HTTP face, as one stage of a job uses it. */
export function doorOf(context: JobContext): ArtifactDoor {
  const { payload, http, httpUrl, retryWaitMs, stop } = context
  const { id: jobId, token } = payload
  return {
    http,
    url: httpUrl(),
    jobId,
    token,
    signal: stop.everything,
    pauseMs: Math.min(retryWaitMs.first, maxPauseMs),
    patience: new Patience(context),
  }
}
