/** The three requests of git's smart HTTP, once they are let in. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { asFault } from '../core/as-fault.js'
import type { Core } from '../core/core.js'
import type { Log } from '../core/log.js'
import type { PushedRef } from '../core/store/pushes.js'
import type { Access } from './access.js'
import { type OutputFilter, runBackend } from './backend.js'
import { gitEnvironment, httpBackendPath, withSettings } from './git-process.js'
import type { GitHttpLimits } from './limits.js'
import { checkPackets, flushPacket, toPacket } from './pkt-line.js'
import { followPush, followPushesLeft, notYet } from './push.js'
import { acceptPush, keepPush } from './push-record.js'
import { inBands, PushReport } from './push-report.js'
import { type PushHead, readPushHead } from './push-request.js'
import { pushSettings, refusalOf } from './push-rules.js'
import { isZero } from './ref-name.js'
import { busy, Refusal } from './refusal.js'
import type { GitRepositories } from './repositories.js'
import { collect, readBody } from './request-body.js'
import { type GitRoute, requestType } from './route.js'
import { Slots } from './slots.js'

/** One request on its way. */
export interface Exchange {
  req: IncomingMessage
  res: ServerResponse
  route: GitRoute
  access: Access
  /** Aborted when the client is gone, or nobody wants to wait any longer. */
  signal: AbortSignal
  /** Told whenever bytes have moved. */
  touch: () => void
}

export interface GitServiceOptions {
  core: Core
  repositories: GitRepositories
  log: Log
  limits: GitHttpLimits
}

/** How long a remembered advertisement stands: git may be upgraded under us. */
const advertisementMs = 60_000

export class GitService {
  readonly #options: GitServiceOptions
  readonly #slots: Slots
  readonly #env: NodeJS.ProcessEnv
  /** Pipelines that are being made, though the answer to their push may have left. */
  readonly #following = new Set<Promise<unknown>>()
  /** Rows of pushes that this process is at work on, and of these those that git is done with. */
  readonly #live = new Set<number>()
  readonly #followed = new Set<number>()
  #file: Promise<string> | undefined
  #advertisement: { body: Buffer; until: number } | undefined
  #heldBytes = 0

  constructor(options: GitServiceOptions) {
    this.#options = options
    const { core, repositories, limits } = options
    const { atOnce, queue, queueWaitMs, pushBytes } = limits
    this.#slots = new Slots({ clock: core.clock, atOnce, queue, waitMs: queueWaitMs })
    this.#env = {
      ...gitEnvironment(repositories.home, [['receive.maxInputSize', String(pushBytes)]]),
      GIT_PROJECT_ROOT: repositories.folder,
      GIT_HTTP_EXPORT_ALL: '1',
      GATEWAY_INTERFACE: 'CGI/1.1',
    }
  }

  /**
   * What the server can do and, before version 2, every ref. In version 2 it is the same for every repository, since all
   * have our settings, so git is asked once a minute: that is one process less for each fetch of a job.
   */
  async advertise(exchange: Exchange): Promise<void> {
    const { req, res, route, access } = exchange
    const { core, repositories } = this.#options
    repositories.syncHead(access.project)
    if (route.service !== 'git-upload-pack' || req.headers['git-protocol'] !== 'version=2') {
      return this.#withSlot(exchange, () => this.#run(exchange, undefined))
    }
    if (this.#advertisement && core.clock.now() < this.#advertisement.until) {
      res.setHeader('Content-Type', `application/x-${route.service}-advertisement`)
      res.setHeader('Cache-Control', 'no-cache, max-age=0, must-revalidate')
      res.end(this.#advertisement.body)
      return
    }
    const seen: Buffer[] = []
    const remember: OutputFilter = {
      through: (chunk) => {
        seen.push(chunk)
        return chunk
      },
      end: async () => {
        const body = Buffer.concat(seen)
        const whole = body.subarray(-flushPacket.length).equals(flushPacket)
        if (whole) this.#advertisement = { body, until: core.clock.now() + advertisementMs }
        return Buffer.alloc(0)
      },
    }
    await this.#withSlot(exchange, () => this.#run(exchange, undefined, remember))
  }

  /** The request is read before a slot is taken, so that a client that hangs halfway keeps nobody waiting. */
  async fetch(exchange: Exchange): Promise<void> {
    const { core, limits } = this.#options
    const { fetchBytes, heldBytes } = limits
    const { clock } = core
    let held = 0
    const onChunk = (bytes: number) => {
      exchange.touch()
      held += bytes
      this.#heldBytes += bytes
      if (this.#heldBytes > heldBytes) throw busy()
    }
    try {
      const body = await collect(readBody(exchange.req, { limitBytes: fetchBytes, onChunk, clock }))
      checkPackets(body)
      await this.#withSlot(exchange, () => this.#run(exchange, body))
    } finally {
      this.#heldBytes -= held
    }
  }

  async push(exchange: Exchange): Promise<void> {
    const { req, touch, access } = exchange
    const body = readBody(req, {
      limitBytes: this.#options.limits.pushBytes,
      onChunk: touch,
      clock: this.#options.core.clock,
    })
    try {
      const head = await readPushHead(body)
      const refused = await this.#refusal(access, head)
      if (refused !== undefined) {
        // A client reads the answer when it has sent everything.
        for await (const _ of body) touch()
        return sendRefusal(exchange.res, head, refused)
      }
      const settings = pushSettings(access, head.commands)
      const report = new PushReport(head.capabilities)
      await this.#withSlot(exchange, async (free) => {
        const { project, user } = access
        const { commands, options } = head
        const id = await keepPush(this.#options.core, {
          projectId: project.id,
          userId: user?.id ?? null,
          commands,
          options,
        })
        if (id !== undefined) this.#live.add(id)
        try {
          const filter: OutputFilter = {
            through: (chunk) => report.through(chunk),
            end: async () => {
              free()
              return report.finish(await this.#follow(access, head, report, id))
            },
          }
          await this.#run(exchange, joined(head.chunks, body), filter, settings)
        } finally {
          // What follows is over, or goes on and takes it off the list itself.
          if (id !== undefined && !this.#followed.has(id)) this.#live.delete(id)
        }
      })
    } finally {
      // Not awaited: a client that has its answer may never send the rest.
      body.return(undefined).catch(() => undefined)
    }
  }

  async #refusal(access: Access, { commands }: PushHead): Promise<string | undefined> {
    const { repositories } = this.#options
    const { project } = access
    const hasDefault = repositories.readRef(project, `refs/heads/${project.defaultBranch}`) !== undefined
    const isEmpty = !hasDefault && (await repositories.listBranches(project)).length === 0
    return refusalOf(access, commands, isEmpty)
  }

  /** Waits for pipelines that are being made. */
  async close(): Promise<void> {
    while (this.#following.size > 0) await Promise.allSettled(this.#following)
  }

  /** Goes on with what a stop of the node, or a fault, has left of pushes. Returns how many there were. */
  followLeft(): Promise<number> {
    return followPushesLeft(this.#options, this.#live)
  }

  /** Makes the pipelines of what git has changed; gives lines for the user, soon. */
  async #follow(access: Access, head: PushHead, report: PushReport, id: number | undefined): Promise<string[]> {
    const { core, limits } = this.#options
    const following = this.#accepted(access, head, report, id)
    this.#following.add(following)
    following.finally(() => this.#following.delete(following)).catch(asFault)
    let stop = () => {}
    const late = new Promise<string[]>((resolve) => {
      stop = core.clock.after(limits.pipelinesWaitMs, () => resolve(['Its pipelines are still being made.']))
    })
    return Promise.race([following, late]).finally(stop)
  }

  /** Never rejects. */
  async #accepted(
    { project, user }: Access,
    head: PushHead,
    report: PushReport,
    id: number | undefined,
  ): Promise<string[]> {
    const { core, log } = this.#options
    const changes = head.commands.filter((command) => this.#wasDone(project, command, report))
    if (id !== undefined) this.#followed.add(id)
    try {
      const readRef = (ref: string) => this.#options.repositories.readRef(project, ref)
      if (id !== undefined) await acceptPush(core, id, { projectId: project.id, changes }, this.#live, readRef)
      if (changes.length === 0) return []
      return await followPush(this.#options, { project, user, changes, options: head.options }, id)
    } catch (error) {
      log.error({ err: error, project: project.id, push: id }, 'what a push has changed could not be noted')
      return notYet(error)
    } finally {
      if (id !== undefined) {
        this.#followed.delete(id)
        this.#live.delete(id)
      }
    }
  }

  /** As git has reported; where it could not (it was ended, or not asked to), as the refs stand. */
  #wasDone(project: Access['project'], { ref, before, after }: PushedRef, report: PushReport): boolean {
    if (before === after) return false
    const reported = report.results.get(ref)
    if (reported !== undefined) return reported
    const now = this.#options.repositories.readRef(project, ref)
    return isZero(after) ? now === undefined : now === after
  }

  async #withSlot(exchange: Exchange, work: (free: () => void) => Promise<void>): Promise<void> {
    const free = await this.#slots.take(exchange.signal)
    try {
      await work(free)
    } finally {
      free()
    }
  }

  async #run(
    exchange: Exchange,
    body: Buffer | AsyncIterable<Buffer> | undefined,
    filter?: OutputFilter,
    settings: readonly (readonly [key: string, value: string])[] = [],
  ): Promise<void> {
    const { req, res, route, access, signal, touch } = exchange
    const { repositories, log } = this.#options
    const file = await this.#backend()
    // What a fetch looks for may be a pin that is just being written.
    await repositories.pinsSettled(access.project.id)
    const env: NodeJS.ProcessEnv = {
      ...this.#env,
      ...withSettings(this.#env, settings),
      PATH_INFO: `/${access.project.id}.git/${route.kind === 'refs' ? 'info/refs' : route.service}`,
      QUERY_STRING: route.kind === 'refs' ? `service=${route.service}` : '',
      REQUEST_METHOD: route.kind === 'refs' ? 'GET' : 'POST',
      REMOTE_USER: access.user?.username ?? 'signalbox',
      REMOTE_ADDR: req.socket.remoteAddress ?? '',
      ...(route.kind === 'rpc' ? { CONTENT_TYPE: requestType(route.service) } : {}),
      ...(Buffer.isBuffer(body) ? { CONTENT_LENGTH: String(body.length) } : {}),
    }
    const protocol = req.headers['git-protocol']
    if (typeof protocol === 'string') env.GIT_PROTOCOL = protocol
    await runBackend({ file, env, body, res, signal, onProgress: touch, log, ...(filter ? { filter } : {}) })
  }

  #backend(): Promise<string> {
    this.#file ??= httpBackendPath(this.#env).catch((error: unknown) => {
      // The next request tries again.
      this.#file = undefined
      throw error
    })
    return this.#file
  }
}

/** The answer to a push that git never sees: every ref is refused, as by a hook. Throws a refusal for a client without reports. */
function sendRefusal(res: ServerResponse, head: PushHead, reason: string): void {
  const bands = ['side-band-64k', 'side-band'].some((band) => head.capabilities.has(band))
  if (!head.capabilities.has('report-status') && !head.capabilities.has('report-status-v2')) {
    throw new Refusal(403, reason)
  }
  const lines = ['unpack ok', ...head.commands.map(({ ref }) => `ng ${ref} pre-receive hook declined`)]
  const report = Buffer.concat([...lines.map((line) => toPacket(`${line}\n`)), flushPacket])
  res.writeHead(200, { 'Content-Type': 'application/x-git-receive-pack-result', 'Cache-Control': 'no-cache' })
  res.end(bands ? inBands(reason, report) : report)
}

async function* joined(first: readonly Buffer[], rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield* first
  yield* rest
}
