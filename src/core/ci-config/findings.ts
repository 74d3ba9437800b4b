import { limits } from './limits.js'
import type { Node } from './node.js'
import type { ConfigError } from './plan.js'
import type { AnyShape } from './shape.js'
import type { Sources } from './sources.js'

/** Everything found wrong or doubtful about a document, in the order in which it was met. */
export class Findings {
  readonly errors: ConfigError[] = []
  readonly warnings: ConfigError[] = []
  readonly sources: Sources
  /** Values of nodes that were read before, and as what: kept by validate.ts. */
  readonly values = new Map<Node, { shape: AnyShape; value: unknown }>()

  constructor(sources: Sources) {
    this.sources = sources
  }

  get failed(): boolean {
    return this.errors.length > 0
  }

  error(message: string, at: number, path: string): void {
    if (this.errors.length < limits.errors) this.errors.push(this.sources.describe(message, at, path))
  }

  warn(message: string, at: number, path: string): void {
    if (this.warnings.length < limits.errors) this.warnings.push(this.sources.describe(message, at, path))
  }
}

/** Ends compilation when the findings already say why. */
export class StopCompilation extends Error {
  override readonly name = 'StopCompilation'
}
