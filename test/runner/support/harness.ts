import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { configOf } from '../../../src/plugins/definition.js'
import shell from '../../../src/plugins/executors/shell/index.js'
import type { Executor, PluginHost } from '../../../src/plugins/sdk.js'
import type { RunnerEvent } from '../../../src/runner/events.js'
import type { RunnerOptions } from '../../../src/runner/options.js'
import { type RunnerHandle, startRunner } from '../../../src/runner/start-runner.js'
import type { TransportName } from '../../../src/runner/transports/transport.js'
import { FakeCoordinator, runnerToken } from './fake-coordinator.js'
import { Changing } from './until.js'

/** A runner under test: the real one, with its events to wait for. */
export class TestRunner extends Changing {
  readonly events: RunnerEvent[] = []
  handle!: RunnerHandle

  event<T extends RunnerEvent['type']>(
    type: T,
    which: (event: Extract<RunnerEvent, { type: T }>) => boolean = () => true,
  ): Promise<Extract<RunnerEvent, { type: T }>> {
    const is = (event: RunnerEvent): event is Extract<RunnerEvent, { type: T }> => event.type === type
    return this.until(() => this.events.filter(is).find(which), `the event ${type}`)
  }

  count(type: RunnerEvent['type']): number {
    return this.events.filter((event) => event.type === type).length
  }
}

/** Everything that one test needs, taken down at its end. */
export class Harness {
  readonly root = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-runner-'))
  readonly workDir = path.join(this.root, 'work')
  readonly #runners: TestRunner[] = []
  readonly #close: (() => void | Promise<void>)[] = []

  private constructor(
    readonly transport: TransportName,
    readonly box: FakeCoordinator,
  ) {}

  static async start(transport: TransportName): Promise<Harness> {
    return new Harness(transport, await FakeCoordinator.start())
  }

  async runner(options: Partial<RunnerOptions> = {}): Promise<TestRunner> {
    const runner = new TestRunner()
    runner.handle = await startRunner({
      url: this.transport === 'grpc' ? this.box.grpc : this.box.http,
      token: runnerToken,
      transport: this.transport,
      executor: { name: 'shell', executor: this.shell() },
      concurrency: 2,
      workDir: this.workDir,
      log: process.env.RUNNER_LOG === '1' ? loud : silent,
      retryWaitMs: { first: 10, longest: 50 },
      awayMs: 500,
      pollIntervalMs: 50,
      traceIntervalMs: 100,
      onEvent: (event) => {
        runner.events.push(event)
        runner.changed()
      },
      ...options,
    })
    this.#runners.push(runner)
    return runner
  }

  /** The shell executor, through the surface that any plugin has. */
  shell(config: Record<string, string> = {}): Executor {
    let executor: Executor | undefined
    const host = { executor: (_name: string, given: Executor) => (executor = given) } as unknown as PluginHost
    const instance = shell.setup(host, configOf(shell, config) as never)
    if (instance !== undefined && 'close' in instance) this.#close.push(() => instance.close?.())
    if (executor === undefined) throw new Error('the plugin has offered no executor')
    return executor
  }

  /** A file that tests and scripts meet at. */
  file(name: string): string {
    return path.join(this.root, name)
  }

  touch(name: string): void {
    fs.writeFileSync(this.file(name), '')
  }

  exists(name: string): boolean {
    return fs.existsSync(this.file(name))
  }

  /** Waits until some spooled log holds this. */
  async spoolHolds(text: string): Promise<void> {
    await this.#watchSpool(() => spooledLogs(this.workDir).some((log) => log.includes(text)), `${text} in the spool`)
  }

  async spoolIsEmpty(): Promise<void> {
    await this.#watchSpool(() => fs.readdirSync(path.join(this.workDir, 'spool')).length === 0, 'an empty spool')
  }

  /** The work folder as a process that died at this moment would leave it. */
  copyWorkDir(): string {
    const copy = path.join(this.root, 'copy')
    fs.cpSync(this.workDir, copy, { recursive: true, filter: (file) => !file.includes('/builds') })
    return copy
  }

  /** A process of the job that is spooled in this work folder, as if its runner had died. @returns its id. */
  leftover(workDir: string): number {
    const [folder = ''] = fs.readdirSync(path.join(workDir, 'spool'))
    const lease = JSON.parse(fs.readFileSync(path.join(workDir, 'spool', folder, 'lease.json'), 'utf8')) as {
      session: string
    }
    const env = { ...process.env, SIGNALBOX_JOB_SESSION: lease.session }
    const child = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore', env })
    child.unref()
    return child.pid ?? 0
  }

  async #watchSpool(look: () => boolean, what: string): Promise<void> {
    const changing = new Changing()
    const watcher = fs.watch(this.workDir, { recursive: true }, () => changing.changed())
    try {
      await changing.until(look, what)
    } finally {
      watcher.close()
    }
  }

  onClose(close: () => void | Promise<void>): void {
    this.#close.push(close)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#runners.map((runner) => runner.handle.close()))
    for (const close of this.#close.reverse()) await close()
    await this.box[Symbol.asyncDispose]()
    fs.rmSync(this.root, { recursive: true, force: true })
  }
}

function spooledLogs(workDir: string): string[] {
  const spool = path.join(workDir, 'spool')
  return fs.readdirSync(spool).flatMap((name) => {
    const log = path.join(spool, name, 'log')
    return fs.existsSync(log) ? [fs.readFileSync(log, 'latin1')] : []
  })
}

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
const say = (fields: object, message: string) => console.error(message, JSON.stringify(fields))
const loud = { debug: say, info: say, warn: say, error: say }
