/** Asks the server, as the person who has signed in: by the session's cookie, or by a token that was typed in. */
import { signal } from '@preact/signals'

/** A refusal of the server, or that it could not be reached (`status` 0). */
export class ApiError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** The base of our own API. */
export const own = '/api/signalbox/v1'

const tokenKey = 'signalbox-token'

/** The token that an address of `signalbox run --ui` or of the demo brings along; only a page of this machine takes one. */
function tokenOfAddress(): string | undefined {
  const [, given] = /^#token=([\w.-]{20,})$/.exec(location.hash) ?? []
  if (given === undefined || !/^(?:127\.0\.0\.1|localhost|\[::1\])$/.test(location.hostname)) return undefined
  sessionStorage.setItem(tokenKey, given)
  history.replaceState(null, '', location.pathname + location.search)
  return given
}

/** An access token instead of a session; it is forgotten with the tab. */
export const token = signal(tokenOfAddress() ?? sessionStorage.getItem(tokenKey) ?? '')

/** Uses this token from now on; empty: none. */
export function keepToken(value: string): void {
  token.value = value
  if (value) sessionStorage.setItem(tokenKey, value)
  else sessionStorage.removeItem(tokenKey)
}

/** Counts refusals because nobody is signed in: the page asks to sign in again, and stays where it is. */
export const refusals = signal(0)

export interface Asking {
  method?: string
  body?: unknown
  signal?: AbortSignal
}

/** Returns the answer. Throws `ApiError`. */
export async function send(path: string, { method = 'GET', body, signal }: Asking = {}): Promise<Response> {
  const headers: Record<string, string> = {}
  if (token.value) headers['PRIVATE-TOKEN'] = token.value
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  let response: Response
  try {
    response = await fetch(path, {
      method,
      headers,
      credentials: 'same-origin',
      redirect: 'error',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    })
  } catch (error) {
    if (signal?.aborted) throw error
    throw new ApiError(0, 'the server cannot be reached')
  }
  if (response.ok) return response
  if (response.status === 401) refusals.value++
  throw new ApiError(response.status, await messageOf(response))
}

/** Returns the JSON of the answer; undefined where it has none. Throws `ApiError`. */
export async function ask<T>(path: string, options?: Asking): Promise<T> {
  const response = await send(path, options)
  const text = await response.text()
  return (text === '' ? undefined : JSON.parse(text)) as T
}

/** Both APIs tell why, each in its own words. */
async function messageOf(response: Response): Promise<string> {
  const text = await response.text().catch(() => '')
  try {
    const { detail, title, message, error } = JSON.parse(text)
    const said = detail ?? message ?? error ?? title
    return typeof said === 'string' ? said : JSON.stringify(said)
  } catch {
    return `the server answered ${response.status}`
  }
}
