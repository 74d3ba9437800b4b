/** Collects what is wrong with a document, and what is doubtful. */
import type { ConfigError } from './config-error.js'
import { limits } from './limits.js'
import type { Node } from './node.js'
import type { AnyShape } from './shape.js'
import type { Sources } from './sources.js'

/** Everything found wrong or doubtful about a document, in the order in which it was met. */
export class Findings {
  readonly errors: ConfigError[] = []
  readonly warnings: ConfigError[] = []
  readonly sources: Sources
  /** Errors met, also those that are not listed: by this a reader sees that a part was wrong. */
  met = 0
  /** Values of nodes that were read before, and as what: kept by validate.ts. */
  readonly values = new Map<Node, { shape: AnyShape; value: unknown }>()

  constructor(sources: Sources) {
    this.sources = sources
  }

  get failed(): boolean {
    return this.met > 0
  }

  /** No more errors will be listed, so there is no use in looking for them. */
  get full(): boolean {
    return this.errors.length >= limits.errors
  }

  error(message: string, at: number, path: string): void {
    this.met++
    this.#add(this.errors, message, at, path)
  }

  warn(message: string, at: number, path: string): void {
    this.#add(this.warnings, message, at, path)
  }

  /** The instances of a job share their faults, which are told once. */
  #add(list: ConfigError[], message: string, at: number, path: string): void {
    if (list.length >= limits.errors || list.some((one) => one.message === message && one.path === path)) return
    list.push(this.sources.describe(message, at, path))
  }
}

/** Ends compilation when the findings already say why. */
export class StopCompilation extends Error {
  override readonly name = 'StopCompilation'
}
