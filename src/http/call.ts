/**
 * A request on its way through a route. Every route says who may use it, by the function that makes it: there is none
 * without a declaration. A handler converts in, calls one operation, converts out, and gives the reply as a value.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Actor } from '../core/authorize.js'
import type { Core } from '../core/core.js'
import type { Access } from './access.js'
import type { Params } from './params.js'

export interface Call {
  core: Core
  access: Access
  req: IncomingMessage
  res: ServerResponse
  requestId: string
  /** Of the query and the body; of the query alone where the route streams its body. */
  params: Params
  /** A part of the path, decoded. */
  path(name: string): string
}

export interface UserCall extends Call {
  actor: Actor
}

export interface Reply {
  status: number
  /** Sent as JSON. */
  body?: unknown
  /** Sent as plain text, as GitLab does where its runner looks at the status alone. */
  text?: string
  headers?: Record<string, string | number>
}

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'

export interface Route {
  method: Method
  path: string
  /** The handler reads the body itself. */
  streams: boolean
  /** The most that its body may have, where that is not what other bodies may. */
  bodyBytes?: number
  /** Undefined: the handler has answered. */
  handle(call: Call): Promise<Reply | undefined>
}

/** The number that a part of a path is, if it can be an id. */
export function idFrom(text: string): number | undefined {
  if (!/^[1-9]\d{0,15}$/.test(text)) return undefined
  const id = Number(text)
  return Number.isSafeInteger(id) ? id : undefined
}
