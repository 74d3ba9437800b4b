/**
 * What the host and the process of a plugin say to one another. The host asks, each question with a number; the process
 * answers it, and speaks unasked only to log. Answers are JSON in a text, whose length can be seen before it is read.
 */
import type { PluginKind } from './sdk.js'

/** What a plugin is asked to do. */
export type Task =
  | { do: 'load'; entry: string; kinds: PluginKind[] | undefined; provideSdk: boolean }
  | { do: 'configure'; given: unknown }
  | { do: 'setUp'; takenExecutors: string[] }
  | { do: 'call'; kind: PluginKind; name: string; method: string; args: unknown[] }
  | { do: 'close' }

/** From the host. `taken`: the output `piece` of the call is where it belongs, or could not be. */
export type ToPlugin = ({ ask: number } & Task) | { taken: number; piece: number; error?: string } | { ping: number }

/** What went wrong there, as plain data. `key`: of a configuration that is refused. */
export interface Fault {
  name: string
  message: string
  stack?: string
  key?: string
}

/** From the plugin. `fault`: what nobody has caught; the process ends with it. */
export type FromPlugin =
  | { answer: number; json: string }
  | { answer: number; fault: Fault }
  | { output: number; piece: number; chunk: Uint8Array }
  | { pong: number; metrics?: string }
  | { log: string }
  | { fault: Fault; what: string }

/** The answer to `load`. */
export interface LoadedFacts {
  id: string
  requires: string[]
  kinds: PluginKind[]
}

/** The answer to `setUp`: the hooks that the plugin has attached, and what each can be asked. */
export interface AttachedHook {
  kind: PluginKind
  name: string
  methods: string[]
}
