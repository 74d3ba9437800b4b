/** `signalbox runner start`: the reference runner on this machine. */
import { mkdirSync } from 'node:fs'
import os from 'node:os'
import type { Log } from '../../core/log.js'
import { Faults } from '../../faults.js'
import type { TlsFileNames } from '../../runner/client-tls.js'
import { systemId } from '../../runner/identity.js'
import type { Observer, RunnerMetricsOptions } from '../../runner/metrics/runner-metrics.js'
import { startRunner } from '../../runner/start-runner.js'
import { executorNamed } from '../executor.js'
import { Exit, exitCodes } from '../exit.js'
import { openLog } from '../log.js'
import { findRunnerFile } from '../runner-file-of.js'
import { readRunnerMonitoring } from '../runner-monitoring.js'
import { runnerToken } from '../runner-token.js'
import { clientTls } from '../tls-fetch.js'
import { takeUncaught } from '../uncaught.js'

interface RunnerStartOptions extends TlsFileNames {
  url?: string
  token?: string
  tokenFile?: string
  register?: boolean
  name?: string
  transport?: 'websocket' | 'grpc' | 'poll'
  executor: string
  concurrency: string
  workDir: string
  config?: string
  metrics?: string
  runnerConfig?: string
}

/** Runs jobs until it is told to end: once gently, twice at once. */
export async function startRunnerCommand(options: RunnerStartOptions): Promise<void> {
  const { env } = process
  if (options.register) {
    await (await import('./runner-register.js')).registerRunner(options)
    return serveRunners(findRunnerFile(options.config)!, openLog(env.SIGNALBOX_LOG_LEVEL || 'info'), options.metrics)
  }
  const isService = options.url === undefined && options.token === undefined && options.tokenFile === undefined
  if (
    options.config !== undefined &&
    isService &&
    (await import('../../config/runner-file.js')).hasRunners(options.config)
  ) {
    return serveRunners(options.config, openLog(env.SIGNALBOX_LOG_LEVEL || 'info'), options.metrics)
  }
  const url = options.url ?? env.SIGNALBOX_URL
  if (!url) throw new Exit(exitCodes.usage, 'no coordinator: give --url, or set SIGNALBOX_URL')
  const token = runnerToken(options)
  if (!token) {
    throw new Exit(exitCodes.usage, 'no token: set SIGNALBOX_RUNNER_TOKEN, or give --token-file FILE or --token')
  }
  const concurrency = Number(options.concurrency)
  if (!Number.isSafeInteger(concurrency) || concurrency < 1) {
    throw new Exit(exitCodes.usage, '--concurrency must be a whole number from 1 on')
  }
  const log = openLog(env.SIGNALBOX_LOG_LEVEL || 'info')
  const monitoring = options.runnerConfig === undefined ? undefined : readRunnerMonitoring(options.runnerConfig, token)
  const executor = await executorNamed(options.executor, options.config, log, options.workDir)
  const listen = options.metrics ?? monitoring?.listenAddress
  const name = os.hostname()
  const metrics =
    listen === undefined
      ? undefined
      : await openMetrics(listen, {
          token,
          name,
          workDir: options.workDir,
          executor: executor.name,
          concurrency,
          more: executor.figures,
          queuingDurations: monitoring?.queuingDurations ?? [],
        }).catch(asUsage)
  if (metrics) log.info({ url: metrics.url }, 'metrics are served')
  const runner = await startRunner({
    url,
    token,
    transport: options.transport ?? transportOf(url),
    tls: clientTls(env, options),
    executor,
    concurrency,
    workDir: options.workDir,
    log,
    ...(metrics === undefined ? {} : { onEvent: metrics.observe, onRequest: metrics.request }),
  }).catch(asUsage)
  const faults = new Faults(log)
  takeUncaught((error) => faults.take(error))
  let signals = 0
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      signals++
      if (signals === 1) {
        log.info('no new job; running ones go on to their end. A second signal stops them')
        runner
          .drain()
          .then(() => runner.close())
          .catch((error) => faults.take(error))
      } else if (signals === 2) {
        log.warn('stopping running jobs')
        runner
          .stop()
          .then(() => runner.close())
          .catch((error) => faults.take(error))
      }
    })
  }
  await runner.done.catch((error) => {
    const notAllowed = /unauthori|token/i.test(String((error as { code?: string }).code ?? (error as Error).message))
    throw new Exit(notAllowed ? exitCodes.notAllowed : exitCodes.failed, (error as Error).message)
  })
  process.exit(exitCodes.done)
}

/** The runners of a file, until the process is told to end. */
async function serveRunners(file: string, log: Log, metrics?: string): Promise<never> {
  // It is not used, and no job should find it.
  runnerToken({})
  const { RunnerService } = await import('../runner-service.js')
  const service = await RunnerService.start(file, log, metrics)
  const faults = new Faults(log)
  takeUncaught((error) => faults.take(error))
  process.on('SIGHUP', () => {
    service.reload().catch((error) => faults.take(error))
  })
  let signals = 0
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      signals++
      if (signals === 1) log.info({}, 'no new job; running ones go on to their end. A second signal stops them')
      if (signals === 2) log.warn({}, 'stopping running jobs')
      if (signals <= 2) (signals === 1 ? service.drain() : service.stop()).catch((error) => faults.take(error))
    })
  }
  await service.done()
  process.exit(exitCodes.done)
}

/** Figures from the first job on, served until the process ends. */
async function openMetrics(
  address: string,
  { workDir, ...options }: Omit<RunnerMetricsOptions, 'systemId'> & { workDir: string },
): Promise<Observer & { url: string }> {
  const [{ runnerMetrics }, { serveMetrics }] = await Promise.all([
    import('../../runner/metrics/runner-metrics.js'),
    import('../../runner/metrics/listen.js'),
  ])
  mkdirSync(workDir, { recursive: true })
  const metrics = runnerMetrics({ ...options, systemId: systemId(workDir) })
  const { url } = await serveMetrics(address, metrics)
  return { observe: metrics.observe, request: metrics.request, url }
}

function asUsage(error: unknown): never {
  throw (error as { code?: string }).code === 'usage' ? new Exit(exitCodes.usage, (error as Error).message) : error
}

function transportOf(url: string): 'websocket' | 'grpc' {
  return /^grpcs?:/.test(url) ? 'grpc' : 'websocket'
}
