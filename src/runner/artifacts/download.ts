/** Artifacts of other jobs, fetched and unpacked. */
import fs from 'node:fs'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDisconnect } from '../http.js'
import type { JobLog } from '../job/log.js'
import type { JobPayload } from '../job/payload.js'
import { followed } from '../redirects.js'
import { messageOf } from '../runner-error.js'
import type { ArtifactDoor } from './upload.js'

/**
 * Fetches the archive of another job and unpacks it into the build folder.
 * @returns why it failed, in words; nothing if it succeeded.
 */
export async function downloadArtifact(
  dependency: JobPayload['dependencies'][number],
  folders: { build: string; temp: string },
  door: Omit<ArtifactDoor, 'jobId' | 'token'>,
  log: JobLog,
): Promise<string | undefined> {
  log.notice(`Downloading artifacts for ${dependency.name} (${dependency.id})...`)
  const file = path.join(folders.temp, `artifacts-${dependency.id}.zip`)
  try {
    const problem = await fetchArchive(dependency, file, door, log)
    if (problem !== undefined) return problem
    const { extract } = await import('./extract.js')
    await extract(file, folders.build, log)
    return undefined
  } catch (error) {
    return `unpacking artifacts of ${dependency.name}: ${messageOf(error)}`
  } finally {
    fs.rmSync(file, { force: true })
  }
}

/** Which answers are final. Source: GitLab Runner, `commands/helpers/artifacts_downloader.go`. */
async function fetchArchive(
  { id, token }: { id: number; token: string },
  file: string,
  door: Omit<ArtifactDoor, 'jobId' | 'token'>,
  log: JobLog,
): Promise<string | undefined> {
  const base = `${door.url.replace(/\/+$/, '')}/api/v4/jobs/${id}/artifacts`
  for (let tries = 1; ; ) {
    let problem: string
    let away = false
    try {
      const url = new URL(tries === 1 ? `${base}?direct_download=true` : base)
      const answer = await followed({ ...door, token }, url, (body) =>
        pipeline(body, fs.createWriteStream(file, { mode: 0o600 })),
      )
      if (answer.status === 200) {
        log.plain('Downloading artifacts from coordinator... ok')
        return undefined
      }
      problem = answer.statusText
      if ([401, 403, 404].includes(answer.status)) {
        log.warning(`Downloading artifacts from coordinator... ${problem}`)
        return `downloading artifacts: ${problem}`
      }
    } catch (error) {
      problem = messageOf(error)
      away = isDisconnect(error)
    }
    if (door.signal.aborted) return 'stopped'
    log.warning(`Downloading artifacts from coordinator... ${problem}`)
    if (away && (await door.patience.wait())) continue
    if (tries++ === 3) return `downloading artifacts: ${problem}`
    await sleep(door.pauseMs, undefined, { signal: door.signal }).catch(() => undefined)
  }
}
