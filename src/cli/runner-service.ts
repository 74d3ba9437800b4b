/** Several runners in one process, as a file says, which is read again at SIGHUP. */

import { mkdirSync } from 'node:fs'
import { type RunnerEntry, readRunnerFile } from '../config/runner-file.js'
import type { Log } from '../core/log.js'
import { readClientTls } from '../runner/client-tls.js'
import { systemId } from '../runner/identity.js'
import type { FleetMetrics } from '../runner/metrics/runner-metrics.js'
import { Places } from '../runner/places.js'
import { type RunnerHandle, startRunner } from '../runner/start-runner.js'
import { loadExecutor } from './executor.js'
import { Exit, exitCodes } from './exit.js'
import { readRunnerFileOrExit } from './runner-file-of.js'

interface Running {
  entry: RunnerEntry
  handle: RunnerHandle
  /** Resolves when it has ended, and what it held is free again. */
  ended: Promise<void>
}

/** The runners of one file. */
export class RunnerService {
  readonly #places: Places
  readonly #running = new Map<string, Running>()
  /** Undefined: nobody asked for figures. */
  #metrics: FleetMetrics | undefined
  #reloading: Promise<void> = Promise.resolve()
  #leaving = false

  private constructor(
    private readonly file: string,
    concurrent: number,
    private readonly log: Log,
  ) {
    this.#places = new Places(concurrent)
  }

  /**
   * Starts all runners of the file; `metrics`: where their figures are served, if the file does not say.
   * @throws Exit (2) for a file that is not right; none is left running then.
   */
  static async start(file: string, log: Log, metrics?: string): Promise<RunnerService> {
    const read = readRunnerFileOrExit(file)
    const service = new RunnerService(file, read.concurrent, log)
    const listen = metrics ?? read.metrics
    if (listen !== undefined) await service.#serveMetrics(listen, read.concurrent)
    try {
      for (const entry of read.runners) await service.#begin(entry)
    } catch (error) {
      await service.#each((handle) => handle.close())
      throw error
    }
    log.info({ runners: read.runners.map(({ name }) => name), concurrent: read.concurrent }, 'runners have started')
    return service
  }

  /**
   * Reads the file again: runners that are new begin, those that are gone or have changed take no more jobs, end with their
   * last one, and begin anew as they are now. A file that is not right changes nothing. Never rejects.
   */
  reload(): Promise<void> {
    this.#reloading = this.#reloading.then(() => this.#reload()).catch((error: unknown) => this.#refuse(error))
    return this.#reloading
  }

  /** No new job; resolves when the last one has ended and was reported. */
  drain(): Promise<void> {
    this.#leaving = true
    return this.#each((handle) => handle.drain().then(() => handle.close()))
  }

  /** Ends the jobs that run. */
  stop(): Promise<void> {
    this.#leaving = true
    return this.#each((handle) => handle.stop().then(() => handle.close()))
  }

  /** Resolves when no runner is left. */
  async done(): Promise<void> {
    do {
      await Promise.all([...this.#running.values()].map(({ ended }) => ended))
      await this.#reloading
    } while (this.#running.size > 0)
  }

  async #reload(): Promise<void> {
    if (this.#leaving) return
    const read = readRunnerFile(this.file)
    this.#places.resize(read.concurrent)
    this.#metrics?.setConcurrent(read.concurrent)
    const wanted = new Map(read.runners.map((entry) => [entry.name, entry]))
    const changed = [...this.#running.values()].filter(({ entry }) => !isSame(entry, wanted.get(entry.name)))
    for (const { entry, handle, ended } of changed) {
      this.log.info({ runner: entry.name }, 'takes no more jobs as it was: the file has changed')
      this.#replace(handle, ended, wanted.get(entry.name)).catch((error: unknown) => this.#refuse(error))
    }
    for (const entry of read.runners) if (!this.#running.has(entry.name)) await this.#begin(entry)
    this.log.info({ runners: [...wanted.keys()], concurrent: read.concurrent }, 'the file was read again')
  }

  async #replace(handle: RunnerHandle, ended: Promise<void>, by: RunnerEntry | undefined): Promise<void> {
    await handle.drain()
    await handle.close()
    await ended
    if (by !== undefined && !this.#leaving) await this.#begin(by)
  }

  async #begin(entry: RunnerEntry): Promise<void> {
    const { name, url, token, transport, tls, executor: executorName, limit, workDir, settings } = entry
    const log = named(this.log, name)
    const plugins = Object.entries(settings).map(([id, config]) => ({ use: `executor.${id}`, config }))
    const executor = await loadExecutor(executorName, { plugins, workDir }, log).catch((error: unknown) => {
      if (error instanceof Exit) throw error
      throw new Exit(exitCodes.usage, `runner ${name}: ${(error as Error).message}`)
    })
    try {
      const handle = await startRunner({
        url,
        token,
        tls: readClientTls(tls),
        name,
        transport: transport ?? (/^grpcs?:/.test(url) ? 'grpc' : 'websocket'),
        executor,
        concurrency: limit,
        places: this.#places,
        workDir,
        log,
        ...this.#metered(entry),
      })
      const ended = handle.done
        .catch((error: unknown) => log.error({ error: (error as Error).message }, 'the runner has ended'))
        .then(() => executor.close())
        .then(() => {
          this.#running.delete(name)
        })
      this.#running.set(name, { entry, handle, ended })
    } catch (error) {
      await executor.close()
      throw new Exit(exitCodes.usage, `runner ${name}: ${(error as Error).message}`)
    }
  }

  /** What counts the events of the runner, if somebody wants its figures. */
  #metered({ name, token, executor, limit, workDir }: RunnerEntry) {
    if (this.#metrics === undefined) return {}
    mkdirSync(workDir, { recursive: true })
    const runner = { token, name, systemId: systemId(workDir), executor, limit, queuingDurations: [] }
    const { observe, request } = this.#metrics.add(runner)
    return { onEvent: observe, onRequest: request }
  }

  async #serveMetrics(address: string, concurrent: number): Promise<void> {
    const [{ fleetMetrics }, { serveMetrics }] = await Promise.all([
      import('../runner/metrics/runner-metrics.js'),
      import('../runner/metrics/listen.js'),
    ])
    this.#metrics = fleetMetrics()
    this.#metrics.setConcurrent(concurrent)
    const { url } = await serveMetrics(address, this.#metrics).catch((error: unknown) => {
      throw new Exit(exitCodes.usage, (error as Error).message)
    })
    this.log.info({ url }, 'metrics are served')
  }

  #refuse(error: unknown): void {
    this.log.error({ error: (error as Error).message }, 'the file was not taken: all goes on as it was')
  }

  async #each(act: (handle: RunnerHandle) => Promise<void>): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ handle }) => act(handle)))
  }
}

/** A log whose lines say which runner they are about. */
function named(log: Log, runner: string): Log {
  const at = (level: keyof Log) => (fields: object, message: string) => log[level]({ runner, ...fields }, message)
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

function isSame(one: RunnerEntry, other: RunnerEntry | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
