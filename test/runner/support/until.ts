/** Something that changes, and that a test can wait on: no test looks at a clock. */
export class Changing {
  readonly #listeners = new Set<() => void>()

  changed(): void {
    for (const listener of this.#listeners) listener()
  }

  /** Resolves with the first value that is neither undefined nor false. */
  until<T>(look: () => T | undefined | false, what: string, withinMs = 15_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#listeners.delete(check)
        reject(new Error(`waited ${withinMs} ms in vain for: ${what}`))
      }, withinMs)
      const check = () => {
        const value = look()
        if (value === undefined || value === false) return
        clearTimeout(timer)
        this.#listeners.delete(check)
        resolve(value)
      }
      this.#listeners.add(check)
      check()
    })
  }
}
