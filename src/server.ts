/**
 * The composition root: opens the store, loads plugins, puts the core together, starts its background work and mounts the
 * doors. What `signalbox serve` runs, `signalbox run` starts for one pipeline, and the tests boot.
 */
import { chmodSync, writeFileSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import path from 'node:path'
import type { ServerSettings } from './config/settings.js'
import type { BlobRooms } from './core/blobs/blob-store.js'
import { diskRooms } from './core/blobs/disk-blobs.js'
import type { CiLanguage } from './core/ci-config/language.js'
import { SystemClock } from './core/clock.js'
import { RemoteFiles } from './core/config/remote-files.js'
import type { Core } from './core/core.js'
import { SignalboxError } from './core/errors.js'
import { readGauges } from './core/gauges.js'
import type { Log } from './core/log.js'
import { type CoreParts, makeCore } from './core/make-core.js'
import { Membership } from './core/membership.js'
import { keysFit } from './core/operations/check-keys.js'
import { makeFirstLink } from './core/operations/edit-password.js'
import { hearNodes } from './core/operations/hear-nodes.js'
import { checkVersions, livingOthers } from './core/operations/join-node.js'
import { recoverNode, setAdminToken } from './core/operations/prepare-node.js'
import { relayNodes } from './core/operations/relay-nodes.js'
import type { Tasks } from './core/scheduler/tasks.js'
import { lockDataFolder } from './core/store/data-lock.js'
import { putMeta } from './core/store/meta.js'
import { openStore } from './core/store/open.js'
import { patience } from './core/store/wait.js'
import { closeToOthers, discardStaging, keysOf, openDataFolder, readAdminToken, readNodeName } from './data-folder.js'
import type { Faults } from './faults.js'
import { ForgeClients } from './forges/forge-clients.js'
import { ForgeReporter } from './forges/reporter.js'
import { Front, hostOf, retryLater, text } from './front.js'
import { createGitHttp } from './git/http.js'
import { defaultRemoteLimits } from './git/remote-fetch.js'
import { GitRepositories } from './git/repositories.js'
import { Lazy } from './lazy.js'
import { Page } from './page.js'
import { builtinDeciders, builtins } from './plugins/builtin.js'
import { loadPlugins } from './plugins/host.js'
import type { UpgradeDoor } from './raw-sockets.js'
import type { Rates } from './shim/app.js'
import { routerPath, tunnelUrl } from './shim/job-router/discovery.js'
import type { RouterTunnel } from './shim/job-router/tunnel.js'
import { isOpenIdPath } from './shim/open-id-paths.js'
import { TlsFiles } from './tls-files.js'
import { StreamHub } from './transports/stream-hub.js'
import { createWebSocketDoor, streamPath } from './transports/websocket/service.js'
import { Webhooks } from './webhooks/webhooks.js'

export interface StartOptions {
  settings: ServerSettings
  log: Log
  /** Compiles and plans: in threads of its own for a server, in this one where the start of a thread would cost more. */
  language: CiLanguage
  /** Storage can no longer be trusted, or a fault could not be contained: the process must end with 70. */
  fatal: (error: unknown) => void
  /** What nobody caught, for metrics. */
  faults?: Faults
  /**
   * For a coordinator that lives for one command: leaves the gRPC door closed, the checkpoint thread unstarted and what
   * nobody asks for unloaded, counts nothing for metrics, and waits for no disk, since a loss of power ends the command.
   */
  ephemeral?: boolean
  /** Where that coordinator's configurations include files of other projects and the web from. */
  elsewhere?: CoreParts['elsewhere']
}

export interface Server {
  /** Bases of the two doors, without a slash at the end; `grpcUrl` is empty when that door is closed. */
  httpUrl: string
  grpcUrl: string
  adminToken: string
  /** Where the first administrator sets its password: at the first start only. */
  passwordLink: string | undefined
  core: Core
  tasks: Tasks
  /** Stops: held polls are answered, streams told goodbye, bodies under way committed. Safe to repeat. */
  close(): Promise<void>
}

/**
 * Starts a coordinator and resolves when both doors answer. Rejects with `conflict` when another process holds the data
 * folder, `unavailable` when the store cannot be used; nothing stays open then.
 */
export async function startServer(options: StartOptions): Promise<Server> {
  const closers: (() => unknown)[] = []
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    return await start(options, closers, closeAll)
  } catch (error) {
    await closeAll()
    throw error
  }
}

async function start(
  { settings, log, language, fatal, faults, ephemeral = false, elsewhere }: StartOptions,
  closers: (() => unknown)[],
  closeAll: () => Promise<void>,
): Promise<Server> {
  const { dataDir } = settings
  openDataFolder(dataDir)
  const { mended, open: readable } = closeToOthers(dataDir, databaseFiles(settings.database))
  if (mended.length > 0) log.warn({ files: mended }, 'others could read these; they cannot any more')
  if (readable.length > 0) log.warn({ files: readable }, 'others can read these, and it could not be mended')
  const lock = lockDataFolder(dataDir)
  closers.push(() => lock.release())
  discardStaging(dataDir)
  const clock = new SystemClock()
  const report = (error: unknown, what: string) => log.error({ err: error, what }, 'the store reports a fault')
  const persistence = { checkpoints: !ephemeral, durable: !ephemeral }
  // Runners' payloads name the address that we listen on; nobody comes in before what was open is recovered.
  const tlsFiles = settings.tls && new TlsFiles(settings.tls)
  const front = new Front(log, tlsFiles)
  const httpUrl = await front.listen(settings.http)
  closers.push(() => front.close())
  const externalUrl = settings.externalUrl || httpUrl
  const patiently = patience(settings.databaseWaitMs, log)
  const store = await patiently(() => openStore({ url: settings.database, clock, report, fatal, ...persistence }))
  closers.push(() => store.close())

  const node = readNodeName(dataDir, persistence.durable)
  await patiently(() => checkVersions(store.read, node))
  const keys = await patiently(() => keysOf(store, settings.keyFile, persistence.durable))

  const plugins = await loadPlugins({
    builtins: ephemeral ? builtinDeciders : builtins,
    configured: settings.plugins,
    baseFolder: settings.baseFolder,
    chain: settings.classification,
    workFolder: path.join(path.resolve(dataDir), 'plugins'),
    log,
    clock,
  })
  closers.push(() => plugins.close())
  const blobs = await openBlobs(settings, closers)
  const repositories = new GitRepositories({
    folder: settings.repositories,
    log,
    remotes: { ...defaultRemoteLimits, ...settings.mirrors },
  })
  closers.push(() => repositories.close())
  const { core, tasks } = makeCore({
    node,
    store,
    clock,
    keys,
    traces: path.join(dataDir, 'traces'),
    blobs,
    repositories,
    language,
    ...(settings.includes ? { remoteFiles: new RemoteFiles(settings.includes) } : {}),
    elsewhere,
    ...(ephemeral
      ? {}
      : { forges: new ForgeClients({ hosts: settings.mirrors.trustedHosts ?? [], now: () => clock.now() }) }),
    log,
    externalUrl: () => externalUrl,
    followPushesLeft: () => doors.git.followLeft(),
    admission: plugins.admission,
    classify: (evidence) => plugins.classify(evidence),
    ...(plugins.classifiesLater
      ? { classifyLater: async (evidence) => (await plugins.classifyLater(evidence))?.verdict }
      : {}),
    // No other runner than the command's own will come: it is given what it refuses, and says why.
    capabilitiesOf: async (facts) => [
      ...(await plugins.capabilitiesOf(facts)),
      ...(ephemeral ? ['vault_secrets'] : []),
    ],
    capabilityChanges: plugins.capabilityChanges,
    settings: settings.core,
    fatal,
    durable: persistence.durable,
  })
  closers.push(() => core.traces.close())
  const joins = (await patiently(() => livingOthers(store.read, node))).length > 0
  const adminToken = settings.adminToken || readAdminToken(dataDir, { make: !joins, durable: persistence.durable })
  await patiently(() => setAdminToken(core, adminToken))
  const firstLink = ephemeral ? undefined : await patiently(() => makeFirstLink(core))
  const passwordLink = firstLink && `${externalUrl}/-/password?token=${firstLink.token}`
  await patiently(() => tasks.load())

  const hub = new StreamHub(core)
  const backup = async () => (await import('./backup.js')).makeBackup(settings)
  const doors = {
    shim: new Lazy(async () => {
      const { createShim } = await import('./shim/app.js')
      return createShim(core, {
        holdMs: settings.pollHoldMs,
        rates: pollRates(settings.pollsPerSecond),
        ...(ephemeral ? {} : { routerUrl: () => settings.grpcExternalUrl || tunnelUrl(externalUrl) }),
      })
    }),
    api: new Lazy(async () =>
      (await import('./api/app.js')).createApi(core, tasks, { backup, plugins, openid: settings.openid }),
    ),
    git: createGitHttp({ core, repositories, log }),
    streams: createWebSocketDoor(core, hub),
  }
  // Express takes its time: where there is one command to wait for, it waits for the first artifact.
  if (!ephemeral) await Promise.all([doors.shim.get(), doors.api.get()])
  const gauges = async () => [
    ...(await readGauges(core)),
    ...core.queueSli.gauges(),
    ...core.counts.gauges(),
    {
      name: 'signalbox_streams',
      help: 'Attached runner streams by carrier.',
      values: (['grpc', 'websocket'] as const).map((carrier) => ({ labels: { carrier }, value: hub.count(carrier) })),
    },
    {
      name: 'signalbox_away_seconds',
      help: 'Time since the start in which this process did not run: stopped, starved or asleep with its machine.',
      values: [{ labels: {}, value: clock.away() / 1000 }],
    },
    {
      name: 'signalbox_fenced_writes',
      help: 'Writes of streams that were refused because their lease was not open.',
      values: [{ labels: {}, value: hub.stats.fenced }],
    },
    {
      name: 'signalbox_uncaught_faults',
      help: 'Exceptions that nobody caught since the start; each is a bug, and is in the log.',
      values: [{ labels: {}, value: faults?.uncaught ?? 0 }],
    },
  ]
  const page = new Page({ secure: externalUrl.startsWith('https:') })
  let tunnel: RouterTunnel | undefined

  async function route(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = toOriginForm(req)
    if (url.startsWith('/api/v4/') || isOpenIdPath(url)) return (await doors.shim.get()).handle(req, res)
    if (url.startsWith('/api/signalbox/v1/')) return (await doors.api.get()).handle(req, res)
    const pathname = pathOf(url)
    if (pathname === undefined) return text(res, 400, 'the address is not valid\n')
    switch (pathname) {
      case '/-/health':
        return text(res, 200, 'ok\n')
      case '/-/password':
        return (await doors.api.get()).passwordPage(req, res)
      case '/-/ready':
        return ready(core, res)
      case '/metrics':
        return metrics(res, req.headers.accept)
      case streamPath:
      case routerPath:
        res.writeHead(426, { Connection: 'Upgrade', Upgrade: 'websocket', 'Content-Type': 'text/plain; charset=utf-8' })
        res.end('this address speaks WebSocket only: the request has no Upgrade\n')
        return
    }
    if (pathname.startsWith('/-/openid/') && (await (await doors.api.get()).openIdCallback(req, res, pathname))) return
    if (await doors.git.handle(req, res)) return
    if (page.handle(req, res, pathname)) return
    if (!(await (await doors.shim.get()).rawLog(req, res))) text(res, 404, 'not found\n')
  }

  function doorOf(req: IncomingMessage): UpgradeDoor | string {
    const pathname = pathOf(toOriginForm(req))
    if (pathname === undefined) return '400 Bad Request'
    if (pathname === streamPath) return doors.streams
    if (pathname !== routerPath) return '404 Not Found'
    return tunnel ?? '503 Service Unavailable\r\nRetry-After: 1'
  }

  async function metrics(res: ServerResponse, accept: string | undefined): Promise<void> {
    const scrape = await plugins.scrape(await gauges(), accept)
    if (!scrape) return text(res, 404, 'no exporter serves metrics\n')
    res.writeHead(200, { 'Content-Type': scrape.contentType })
    res.end(scrape.body)
  }

  await patiently(() => recoverNode(core, httpUrl))
  front.open({ route, doorOf })
  const membership = new Membership(core, tasks, httpUrl)
  closers.push(hearNodes(core, { node: () => membership.look(), tasks: () => tasks.learnPaused() }))
  closers.push(() => membership.close())
  closers.push(relayNodes(core, () => core.nodeState.hasCompany))
  closers.push(() => tasks.close())
  closers.push(clock.watch())
  if (tlsFiles) closers.push(tlsFiles.watch(clock, log))
  tasks.start()
  await membership.start()
  // Sooner than their times: the process before this one may have been killed.
  if (!ephemeral) for (const name of ['follow_pushes', 'remove_orphans']) tasks.runByItself(name)
  await plugins.startExporters(core)
  if (!ephemeral) {
    const webhooks = new Webhooks(core)
    closers.push(() => webhooks.close())
    await webhooks.start()
    const reporter = new ForgeReporter(core)
    closers.push(() => reporter.close())
    await reporter.start()
  }
  let grpcUrl = ''
  if (!ephemeral) {
    const [{ startGrpc }, { createJobRouter }, { createRouterTunnel }] = await Promise.all([
      import('./transports/grpc/service.js'),
      import('./shim/job-router/service.js'),
      import('./shim/job-router/tunnel.js'),
    ])
    const { polls } = await doors.shim.get()
    const grpc = await startGrpc(core, hub, settings.grpc, [createJobRouter(polls)], tlsFiles)
    tunnel = createRouterTunnel(core, polls.access, (connection) => grpc.inject(connection))
    const { close } = tunnel
    // After the gRPC server, which lets calls inside of tunnels end first.
    closers.push(() => close())
    closers.push(() => grpc.close())
    grpcUrl = `${tlsFiles ? 'grpcs' : 'grpc'}://${hostOf(settings.grpc)}:${grpc.port}`
  }
  closers.push(async () => {
    hub.close()
    await (await doors.shim.made)?.close()
    await doors.git.close()
    await doors.streams.close()
  })
  closers.push(() => front.stop())
  let closed: Promise<void> | undefined
  return {
    httpUrl,
    grpcUrl,
    adminToken,
    passwordLink,
    core,
    tasks,
    close() {
      closed ??= closeAll()
      return closed
    },
  }
}

/** The file of SQLite and those that it keeps beside it; none for another database. */
function databaseFiles(url: string): string[] {
  const file = /^sqlite:(?!:memory:$)(.+)$/.exec(url)?.[1]
  return file === undefined ? [] : ['', '-wal', '-shm', '-journal'].map((end) => file + end)
}

async function openBlobs({ dataDir, s3 }: ServerSettings, closers: (() => unknown)[]): Promise<BlobRooms> {
  const disk = diskRooms(dataDir)
  if (s3 === undefined) return disk
  const { openS3Rooms } = await import('./core/blobs/s3-blobs.js')
  const rooms = await openS3Rooms(s3, disk)
  closers.push(() => rooms.close())
  return rooms
}

/** Written by rename, so that whoever waits for it never reads half of it. */
export async function writeReadyFile(file: string, server: Pick<Server, 'httpUrl' | 'grpcUrl'>): Promise<void> {
  const temporary = `${file}.new`
  writeFileSync(temporary, `${JSON.stringify({ http: server.httpUrl, grpc: server.grpcUrl, pid: process.pid })}\n`)
  // It is there to be read, whatever umask we run under.
  chmodSync(temporary, 0o644)
  await rename(temporary, file)
}

export async function removeReadyFile(file: string): Promise<void> {
  await rm(file, { force: true })
}

/** The target of a request as `/path?query`: RFC 9112 §3.2.2 wants servers to take `http://host/path` too. */
function toOriginForm(req: IncomingMessage): string {
  req.url = (req.url ?? '/').replace(/^https?:\/\/[^/?#]*/i, '')
  return req.url
}

/** The path of a request's target as it came; undefined for what is none, such as `*` or `//`. */
function pathOf(target: string): string | undefined {
  return /^\/(?!\/)[^?#]*/.exec(target)?.[0]
}

async function ready({ store, keys, nodeState }: Core, res: ServerResponse): Promise<void> {
  if (nodeState.draining) return text(res, 503, 'this node is drained\n', retryLater)
  try {
    await store.write((tx) => putMeta(tx, 'ready', String(tx.now)))
    if (await keysFit(store.read, keys)) text(res, 200, 'ok\n')
    else text(res, 503, 'the key file is not the one that the store was sealed with\n', retryLater)
  } catch (error) {
    text(res, 503, `the store is not writable${whyNot(error)}\n`, retryLater)
  }
}

/** For a balancer's log and whoever looks: anybody may ask, so addresses are not told. */
function whyNot(error: unknown): string {
  const { code, details, cause } = SignalboxError.from(error)
  const state = (cause as { code?: unknown } | undefined)?.code
  if (state === '25006') return ': the database is read-only'
  if (state === '53100') return ': the disk of the database is full'
  if (state === '53300') return ': the database has no connection left'
  return code === 'unavailable' && details.away === true ? ': the database is away' : ''
}

/** A burst of five seconds' polls: a runner that comes back asks for all its free slots at once. */
function pollRates(perSecond: number | undefined): Partial<Rates> {
  if (perSecond === undefined) return {}
  return { polls: perSecond === 0 ? 'off' : { perSecond, burst: Math.max(1, Math.ceil(perSecond * 5)) } }
}
