/**
 * Finds which of many words are in a line, in one walk over it: each word is filed under its first four characters, and at
 * each place of the line the words of its four characters are compared. As Rabin and Karp, with words of any length.
 */
export class WordIndex {
  readonly #filed = new Map<number, { word: string; at: number }[]>()

  /** `groups`: words in lower case, of at least four characters; what is found is the number of a word's group. */
  constructor(groups: readonly (readonly string[])[]) {
    for (const [at, words] of groups.entries()) {
      for (const word of words) {
        const key = keyAt(word, 0)
        const filed = this.#filed.get(key) ?? []
        filed.push({ word, at })
        this.#filed.set(key, filed)
      }
    }
  }

  /** The groups that have a word in `text` between the two places, in their order. `text` must be in lower case. */
  find(text: string, start: number, stop: number): number[] {
    let found: Set<number> | undefined
    let key = 0
    for (let i = start; i < stop; i++) {
      key = (key << 8) | (text.charCodeAt(i) & 0xff) | 0
      if (i < start + 3) continue
      const filed = this.#filed.get(key)
      if (!filed) continue
      for (const { word, at } of filed) {
        if (found?.has(at) || i - 3 + word.length > stop || !text.startsWith(word, i - 3)) continue
        found ??= new Set()
        found.add(at)
      }
    }
    return found ? [...found].sort((a, b) => a - b) : []
  }
}

function keyAt(word: string, start: number): number {
  let key = 0
  for (let i = start; i < start + 4; i++) key = (key << 8) | (word.charCodeAt(i) & 0xff) | 0
  return key
}
