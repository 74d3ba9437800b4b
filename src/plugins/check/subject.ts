/** The plugin under check: in a process of its own, led through the steps of a start as the host leads it. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { SystemClock } from '../../core/clock.js'
import type { Log } from '../../core/log.js'
import { inTime } from '../fence.js'
import { houseFor } from '../house.js'
import type { LoadedFacts } from '../messages.js'
import type { Residence } from '../residence.js'
import { noHooks } from '../scope.js'
import type { CheckOptions } from './report.js'

const silent = () => undefined
const noLog: Log = { debug: silent, info: silent, warn: silent, error: silent }
export const clock = new SystemClock()

/** One start of the plugin. */
export class Subject {
  readonly #residence: Residence
  /** Why its process has ended by itself, each time. */
  readonly ends: string[] = []
  facts: LoadedFacts | undefined
  hooks = noHooks()

  private constructor(make: (ends: string[]) => Residence) {
    this.#residence = make(this.ends)
  }

  /** Finds the plugin of the folder. Rejects with what is wrong with its manifest. Nothing runs yet. */
  static async find(folder: string, workFolder: string, options: CheckOptions): Promise<() => Subject> {
    const ends: { into: string[] } = { into: [] }
    const told = {
      down: (reason: string) => ends.into.push(reason),
      up: silent,
      trouble: (_: string, error: unknown) => ends.into.push(String(error)),
    }
    const entry = { use: path.resolve(folder), env: options.env ?? [] }
    const script = options.childScript === undefined ? {} : { childScript: options.childScript }
    const { make } = await houseFor(told, entry, { workFolder, clock, ...script })
    return () =>
      new Subject((own) => {
        ends.into = own
        return make()
      })
  }

  async load(): Promise<LoadedFacts> {
    this.facts = await this.#residence.load()
    return this.facts
  }

  configure(given: unknown): Promise<void> {
    return this.#residence.configure(given)
  }

  async setUp(): Promise<void> {
    this.hooks = await this.#residence.setUp(new Set(), { logger: noLog, now: () => clock.now() })
  }

  /** All three steps. */
  async start(given: unknown): Promise<void> {
    await this.load()
    await this.configure(given)
    await this.setUp()
  }

  /** The names of its hooks, such as `classifier my-rules`. */
  get hookNames(): string[] {
    const { executors, classifiers, exporters, admissions } = this.hooks
    const named = (kind: string, list: readonly { name: string }[]) => list.map(({ name }) => `${kind} ${name}`)
    return [
      ...named('executor', executors),
      ...named('classifier', classifiers),
      ...named('exporter', exporters),
      ...named('admission', admissions),
    ]
  }

  get residence(): Residence {
    return this.#residence
  }

  close(): Promise<void> {
    return this.#residence.close(2000)
  }
}

/** Calls a hook as the host does: what comes back is checked, what comes too late is an error. */
export async function ask<T>(deadlineMs: number, make: () => unknown, read: (value: unknown) => T): Promise<T> {
  return read(await inTime(clock, deadlineMs, make))
}

/** A folder for the time of a check. */
export class Scratch {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-check-'))

  /** Makes a folder in it. */
  make(name: string): string {
    const place = path.join(this.folder, name)
    mkdirSync(place, { recursive: true })
    return place
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}
