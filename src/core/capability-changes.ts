/** Tells whoever keeps what executors can do that they are to be asked anew: a plugin has come, gone, or did not answer before. */
export class CapabilityChanges {
  readonly #listeners = new Set<() => void>()
  #version = 0

  /** Another number after each change. */
  get version(): number {
    return this.#version
  }

  /** Calls `listener` after each change, until the returned function is called. It must not throw. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  changed(): void {
    this.#version++
    for (const listener of this.#listeners) listener()
  }
}
