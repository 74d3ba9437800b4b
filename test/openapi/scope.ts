import { any, either, type Value } from './values.js'

/** What the names of a block, a function or a module mean; those of a module are made out when they are asked for. */
export class Scope {
  readonly names = new Map<string, Value>()
  readonly #lazy = new Map<string, () => Value>()
  readonly #above: Scope | undefined

  constructor(above?: Scope) {
    this.#above = above
  }

  define(name: string, make: () => Value): void {
    this.#lazy.set(name, make)
  }

  get(name: string): Value | undefined {
    const made = this.names.get(name)
    if (made) return made
    const make = this.#lazy.get(name)
    if (!make) return this.#above?.get(name)
    this.names.set(name, any)
    const value = make()
    this.names.set(name, value)
    return value
  }

  /** A variable that is given another value may still have the one before. */
  assign(name: string, value: Value): void {
    const old = this.names.get(name)
    if (old) this.names.set(name, either([old, value]))
    else this.#above?.assign(name, value)
  }
}
