/**
 * Routes on Express, which does the routing and nothing else, of addresses that are not found at once (`route-map.ts`):
 * bodies, queries and errors are read and answered here.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import express from 'express'
import { asFault } from '../core/as-fault.js'
import type { Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import type { Access } from './access.js'
import type { Call, Reply, Route } from './call.js'
import { foldPairs, readPairs } from './form.js'
import { headerValue } from './headers.js'
import { Params } from './params.js'
import { bodyLimits, queryOf, readParams } from './read-params.js'
import { RouteMap } from './route-map.js'

export interface RoutingOptions {
  core: Core
  access: Access
  /** What every path begins with. */
  base: string
  routes: readonly Route[]
  answerError: (req: IncomingMessage, res: ServerResponse, requestId: string, thrown: unknown) => void
}

/** Gives the handler of a request that has its id already; it never throws. */
export function routesOn(options: RoutingOptions): (req: IncomingMessage, res: ServerResponse, id: string) => void {
  const { core, access, base, routes, answerError } = options
  const ids = new WeakMap<IncomingMessage, string>()
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', false)
  app.set('case sensitive routing', true)
  const serve = async (
    route: Route,
    req: IncomingMessage,
    res: ServerResponse,
    requestId: string,
    names: Readonly<Record<string, string | string[] | undefined>>,
  ) => {
    try {
      const params = route.streams
        ? new Params(foldPairs(readPairs(queryOf(req.url ?? ''))))
        : await readParams(req, res, core.clock, { ...bodyLimits, bytes: route.bodyBytes ?? bodyLimits.bytes })
      const path = (name: string) => partOf(names[name])
      const call: Call = { core, access, req, res, requestId, params, path }
      const reply = await route.handle(call)
      if (reply) send(res, reply, requestId)
    } catch (error) {
      answerError(req, res, requestId, error)
    }
  }
  for (const route of routes) {
    app[route.method](base + route.path, (req, res) => serve(route, req, res, ids.get(req) ?? '', req.params))
  }
  for (const path of new Set(routes.map((route) => route.path))) {
    const methods = routes.filter((route) => route.path === path).map((route) => route.method.toUpperCase())
    const details = { refinement: 'method_not_allowed', allow: methods.join(', ') }
    app.all(base + path, () => {
      throw new SignalboxError('invalid', 'this method is not allowed here', { details })
    })
  }
  const map = new RouteMap(base, routes)
  return (req, res, id) => {
    const found = map.find(req.method ?? '', req.url ?? '')
    if (found) {
      serve(found.route, req, res, id, found.names).catch(asFault)
      return
    }
    ids.set(req, id)
    app(req as express.Request, res as express.Response, (error?: unknown) =>
      answerError(req, res, id, fromExpress(error)),
    )
  }
}

/** A part of the path; of one that takes several, they are joined again. Nothing has a name with NUL in it. */
function partOf(value: string | string[] | undefined): string {
  const text = Array.isArray(value) ? value.join('/') : String(value)
  if (text.includes('\0')) throw new SignalboxError('not_found', '404 Not Found')
  return text
}

/** What Express hands on: nothing, since no route fits; or its own refusal of an address that cannot be decoded. */
function fromExpress(error: unknown): unknown {
  if (error === undefined) return new SignalboxError('not_found', '404 Not Found', { details: { parameter: 'path' } })
  const { status } = error as { status?: unknown }
  return status === 400 ? new SignalboxError('invalid', 'the address is not valid', { cause: error }) : error
}

function send(res: ServerResponse, reply: Reply, requestId: string): void {
  if (res.destroyed || res.writableEnded) return
  const headers: Record<string, string | number> = { 'X-Request-Id': requestId }
  for (const [name, value] of Object.entries(reply.headers ?? {})) {
    headers[name] = typeof value === 'string' ? headerValue(value) : value
  }
  if (reply.body === undefined && reply.text === undefined) {
    res.writeHead(reply.status, headers).end()
    return
  }
  const text = reply.text ?? JSON.stringify(reply.body)
  res.writeHead(reply.status, {
    ...headers,
    'Content-Type': reply.text === undefined ? 'application/json' : 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  res.end(text)
}
