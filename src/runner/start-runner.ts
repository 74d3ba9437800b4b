/** Starts a runner in this process. */
import { runnerFeatures } from './features.js'
import { HttpClient } from './http.js'
import { program, randomText, systemId } from './identity.js'
import { Link } from './link.js'
import { checkOptions, type RunnerOptions } from './options.js'
import { Runner } from './runner.js'
import { leaseKey } from './spool.js'
import type { PollSettings } from './transports/poll-settings.js'
import type { Transport } from './transports/transport.js'
import { takeWorkFolder, type WorkFolder } from './work-folder.js'

/** A runner that has been started. All calls are safe to repeat, in any order. */
export interface RunnerHandle {
  /** Takes no new job; resolves once the running ones have ended and were reported. */
  drain(): Promise<void>
  /** Ends the running jobs as failed, `runner_interrupted`; resolves once that was reported, or after 10 s. */
  stop(): Promise<void>
  /** Ends everything at once; what is not reported yet is delivered at the next start. */
  close(): Promise<void>
  /**
   * Resolves when the runner has ended.
   * @throws RunnerError `unauthorized`, `superseded` or `protocol` if it cannot go on.
   */
  readonly done: Promise<void>
  readonly systemId: string
}

/**
 * Starts a runner: it connects, takes jobs as far as it has places, runs them, and reconnects as long as it lives.
 * Resolves as soon as it has begun to connect; it neither listens to process signals nor ends the process.
 *
 * @throws RunnerError with code `usage` for options that cannot be, a transport that does not fit the address, or a work
 * folder that another process holds.
 */
export async function startRunner(options: RunnerOptions): Promise<RunnerHandle> {
  const url = checkOptions(options)
  const folder = takeWorkFolder(options.workDir)
  try {
    return await start(options, url, folder)
  } catch (error) {
    folder.release()
    throw error
  }
}

async function start(options: RunnerOptions, url: URL, folder: WorkFolder): Promise<RunnerHandle> {
  const id = options.systemId ?? systemId(folder.root)
  const http = new HttpClient(options.tls, options.onRequest)
  const features = await runnerFeatures(options.executor)
  const runner = new Runner(options, folder, id, http, features.shared === true, httpBase(url))
  const transport = await loadTransport(options, url, {
    http,
    log: options.log,
    systemId: id,
    info: {
      ...program,
      executor: options.executor.name,
      shell: 'bash',
      features,
      config: { gpus: '' },
      ...(options.labels === undefined ? {} : { labels: options.labels }),
    },
    spoolOf: (ref) => link.leases.find((lease) => leaseKey(lease) === leaseKey(ref))?.spool,
  })
  const link: Link = new Link(
    transport,
    {
      token: '',
      systemId: id,
      bootId: randomText(20),
      protocolMin: 1,
      protocolMax: 1,
      ...program,
      executor: options.executor.name,
      features: Object.keys(features).filter((name) => features[name] === true),
      labels: options.labels ?? {},
      capacity: options.concurrency,
      protocolFeatures: [],
    },
    runner,
    options.log,
  )
  await runner.start(link)
  return {
    drain: () => runner.drain(),
    stop: () => runner.stop(),
    close: () => runner.close(),
    done: runner.done,
    systemId: id,
  }
}

/** Only the transport in use is loaded: each brings a library that takes its time. */
async function loadTransport(
  options: RunnerOptions,
  url: URL,
  poll: Pick<PollSettings, 'http' | 'log' | 'systemId' | 'info' | 'spoolOf'>,
): Promise<Transport> {
  const settings = { url, token: options.token, tls: options.tls }
  switch (options.transport) {
    case 'websocket': {
      const { webSocketTransport } = await import('./transports/websocket.js')
      return webSocketTransport({ ...settings, json: options.json === true })
    }
    case 'grpc': {
      const { grpcTransport } = await import('./transports/grpc.js')
      return grpcTransport(settings)
    }
    case 'poll': {
      const { pollTransport } = await import('./transports/poll.js')
      const { pollIntervalMs = 3_000, traceIntervalMs = 3_000 } = options
      return pollTransport({ ...settings, ...poll, intervalMs: pollIntervalMs, traceIntervalMs })
    }
  }
}

/** Where the coordinator's HTTP face is likely to be until it says so itself. */
function httpBase(url: URL): string {
  const scheme =
    { 'ws:': 'http:', 'wss:': 'https:', 'grpc:': 'http:', 'grpcs:': 'https:' }[url.protocol] ?? url.protocol
  return `${scheme}//${url.host}${url.pathname.replace(/\/+$/, '')}`
}
