/** Unpacks what jobs have kept into a folder: a folder for each job, those of child pipelines by their trigger's name too. */
import { createWriteStream, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { pipeline as pump } from 'node:stream/promises'
import type { Core } from '../core/core.js'
import { listArtifacts } from '../core/store/artifacts.js'
import { extract } from '../runner/artifacts/extract.js'
import { placedJobs } from './follow.js'
import type { ReadPipeline } from './local-follower.js'

/** Unpacks every archive of a pipeline that has ended. */
export async function unpackArtifacts(core: Core, root: ReadPipeline, folder: string): Promise<void> {
  const jobs = new Map(placedJobs(root).map(({ job, name }) => [job.id, name]))
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'signalbox-artifacts-'))
  try {
    for (const artifact of await listArtifacts(core.store.read, [...jobs.keys()])) {
      if (artifact.type === 'trace') continue
      const name = jobs.get(artifact.jobId)!.replace(/[^\w.-]+/g, '_')
      const target = path.join(folder, name)
      mkdirSync(target, { recursive: true })
      const file = path.join(scratch, String(artifact.id))
      await pump(core.artifacts.open(artifact.location), createWriteStream(file))
      if (artifact.type === 'archive') await extract(file, target, { plain: () => undefined, warning: () => undefined })
      else
        await pump(
          core.artifacts.open(artifact.location),
          createWriteStream(path.join(target, path.basename(artifact.filename))),
        )
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
