/** What each forge's folder says of it: the calls that its API has for what we need. */
import type { CommitStatus, ForgeAccess, ForgeHook, ForgeRepository } from '../core/forge.js'
import type { Json } from '../http/json.js'

/** One request to the forge's API, below its address. Rejects with `ForgeError` for every answer that is not 2xx. */
export type Ask = (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: object) => Promise<Json>

export type HookTarget = Pick<ForgeHook, 'url' | 'secret'>

/** A webhook that the forge has; `fits`: it tells us what we need to hear, as far as the forge shows it. */
export interface KnownHook {
  id: string
  url: string
  fits: boolean
}

export interface Driver {
  /** The address of the API, without a slash at the end. */
  apiUrl(baseUrl: string): string
  headers(token: string): Record<string, string>
  /** The ref under which the head of a request is kept. */
  requestRef(number: number): string
  inspect(ask: Ask, access: ForgeAccess): Promise<ForgeRepository>
  listHooks(ask: Ask, access: ForgeAccess): Promise<KnownHook[]>
  /** Returns its id. */
  makeHook(ask: Ask, access: ForgeAccess, hook: HookTarget): Promise<string>
  /** Makes it as it is to be, its secret too. Returns its id, which may be another. */
  setHook(ask: Ask, access: ForgeAccess, id: string, hook: HookTarget): Promise<string>
  deleteHook(ask: Ask, access: ForgeAccess, id: string): Promise<void>
  report(ask: Ask, access: ForgeAccess, status: CommitStatus): Promise<void>
}
