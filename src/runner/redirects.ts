/** Downloads that follow redirects. */
import type { Readable } from 'node:stream'
import type { ArtifactDoor } from './artifacts/upload.js'
import type { HttpAnswer } from './http.js'

const maxHops = 10

/** Fetches a file for a job. Follows redirects, without the token where they lead to another host: an object store has its own in the address. */
export async function followed(
  { http, signal, token }: Pick<ArtifactDoor, 'http' | 'signal' | 'token'>,
  url: URL,
  sink: (body: Readable) => Promise<void>,
): Promise<HttpAnswer> {
  const { origin } = url
  for (let hops = 0, at = url; ; hops++) {
    const headers: Record<string, string> = at.origin === origin ? { 'job-token': token } : {}
    const answer = await http.download({ method: 'GET', url: at, headers, signal }, sink)
    const { location } = answer.headers
    if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined || hops === maxHops) return answer
    at = new URL(location, at)
  }
}
