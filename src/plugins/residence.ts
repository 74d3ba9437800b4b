/**
 * Where a plugin's code runs. Built-ins live in this process (`here.ts`), plugins of others in one of their own
 * (`remote.ts`); the host leads both through the same steps, and gets the same hooks from both.
 */
import type { LoadedFacts } from './messages.js'
import type { Hooks } from './scope.js'
import type { Gauge, PluginLogger } from './sdk.js'

export interface Surroundings {
  /** Writes to the node's log under the plugin's id. */
  logger: PluginLogger
  now(): number
}

export interface Residence {
  /** Brings the code in, and says what it is. Rejects with the reason if it is no plugin of this version. */
  load(): Promise<LoadedFacts>
  /** Checks the configuration. Rejects with a sentence that names the key at fault. */
  configure(given: unknown): Promise<void>
  /** Calls the plugin's `setup`. Gives the hooks that it attached; rejects if it fails or takes longer than 10 s. */
  setUp(takenExecutors: ReadonlySet<string>, around: Surroundings): Promise<Hooks>
  /** Calls the plugin's `close`, waits at most so long, and lets nothing of it remain. Rejects if `close` failed. */
  close(deadlineMs: number): Promise<void>
  /** Metrics that the plugin has set or counted, and how many were dropped. */
  metrics(): { families: Gauge[]; dropped: number }
  /** Ends and restarts what does not answer any more. Does nothing for a plugin in this process. */
  revive(reason: string): void
  /** The process; undefined for a plugin in this one. */
  readonly process?: ProcessFacts
}

export interface ProcessFacts {
  /** Null while none runs. */
  pid: number | null
  /** Resident memory when it was last looked at. */
  residentBytes: number
  /** More is not allowed: the process is ended. */
  limitBytes: number
  /** How often a process was started after the first. */
  restarts: number
  /** Rights beyond its own folder that the manifest asks for. */
  permissions: string[]
}

export const setupMs = 10_000
export const loadMs = 10_000
