/** Something that is made when it is first asked for. */
export class Lazy<T> {
  readonly #make: () => Promise<T>
  #made: Promise<T> | undefined

  constructor(make: () => Promise<T>) {
    this.#make = make
  }

  /** It; rejects with what making it failed with. */
  get(): Promise<T> {
    this.#made ??= this.#make()
    return this.#made
  }

  /** It, if it was ever asked for. */
  get made(): Promise<T> | undefined {
    return this.#made
  }
}
