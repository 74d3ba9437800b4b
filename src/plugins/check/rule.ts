/** One rule of the contract suite. */
import type { PluginKind } from '../sdk.js'
import type { Scratch, Subject } from './subject.js'

/** What a rule is asked with. */
export interface Checked {
  /** The plugin's folder. */
  folder: string
  /** Its package.json; empty for a single file. */
  manifest: Record<string, unknown>
  /** The configuration that it is set up with. */
  config: Record<string, unknown>
  /** Makes a start of it that nobody has led anywhere yet. */
  fresh: () => Subject
  /** The start that hooks are asked of. */
  subject: Subject
  scratch: Scratch
}

export interface Rule {
  name: string
  /** What it asks for, in a sentence without end. */
  asks: string
  /** Of plugins with hooks of this kind only. */
  kind?: PluginKind
  /** `first`: without it nothing goes on. `advice`: to break it fails nothing. */
  weight?: 'first' | 'advice'
  /** Throws an `Error` that says what is wrong; a text that it gives says how it was kept. */
  keep: (checked: Checked) => unknown
}

/** Throws unless it is so. */
export function must(isSo: boolean, otherwise: string): void {
  if (!isSo) throw new Error(otherwise)
}
