/** Caches at the coordinator. */
import fs from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ArtifactDoor } from '../artifacts/upload.js'
import { type HttpAnswer, isDisconnect } from '../http.js'
import { followed } from '../redirects.js'
import type { CachePlace } from './cache-place.js'

/** Caches at the coordinator, by the token of the job. */
export function serviceCaches(door: ArtifactDoor): CachePlace {
  const urlOf = (key: string) => {
    const url = new URL(`${door.url.replace(/\/+$/, '')}/api/signalbox/v1/jobs/${door.jobId}/caches`)
    url.searchParams.set('key', key)
    return url
  }
  return {
    async fetch(key, file) {
      const answer = await persistently(door, () =>
        followed(door, urlOf(key), (body) => pipeline(body, fs.createWriteStream(file, { mode: 0o600 }))),
      )
      if (answer.status === 404) return false
      if (answer.status !== 200) throw new Error(answer.statusText)
      return true
    },
    async save(key, archive) {
      const answer = await persistently(door, () =>
        door.http.call({
          method: 'PUT',
          url: urlOf(key),
          headers: { 'job-token': door.token, 'content-type': 'application/octet-stream' },
          body: archive,
          signal: door.signal,
        }),
      )
      if (answer.status !== 201) throw new Error(answer.statusText)
    },
  }
}

const maxTries = 3

/** Waits for a coordinator that is away; a connection that breaks while it is there is tried again twice. */
async function persistently(door: ArtifactDoor, send: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
  for (let tries = 1; ; ) {
    try {
      return await send()
    } catch (error) {
      if (door.signal.aborted) throw error
      if (isDisconnect(error) && (await door.patience.wait())) continue
      if (tries++ === maxTries) throw error
      await sleep(door.pauseMs, undefined, { signal: door.signal })
    }
  }
}
