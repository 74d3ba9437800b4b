/** Long work of the main thread in turns: after so many steps others come first, and nothing goes on that nobody waits for. */
import { setImmediate } from 'node:timers/promises'

/** A step is about a microsecond (`docs/decisions/0013`): a turn takes some milliseconds. */
const stepsATurn = 4_000

export class Turns {
  #left = stepsATurn
  readonly #signal: AbortSignal | undefined

  /** @param signal ends the work: `rest` rejects with its reason */
  constructor(signal?: AbortSignal) {
    this.#signal = signal
  }

  /** Whether the turn is over with these; then `rest`. */
  spend(steps: number): boolean {
    this.#left -= steps
    return this.#left <= 0
  }

  async rest(): Promise<void> {
    await setImmediate()
    this.#signal?.throwIfAborted()
    this.#left = stepsATurn
  }
}

const sortedAtOnce = 1_000

/** The rows in ascending order, sorted in turns. Equal ones keep their order. */
export async function sortedInTurns<Row>(
  rows: readonly Row[],
  isLess: (a: Row, b: Row) => boolean,
  turns: Turns,
): Promise<Row[]> {
  let runs: Row[][] = []
  for (let from = 0; from < rows.length; from += sortedAtOnce) {
    runs.push(rows.slice(from, from + sortedAtOnce).sort((a, b) => (isLess(a, b) ? -1 : isLess(b, a) ? 1 : 0)))
    if (turns.spend(sortedAtOnce)) await turns.rest()
  }
  while (runs.length > 1) {
    const next: Row[][] = []
    for (let i = 0; i < runs.length; i += 2) next.push(await merged(runs[i]!, runs[i + 1] ?? [], isLess, turns))
    runs = next
  }
  return runs[0] ?? []
}

async function merged<Row>(
  one: readonly Row[],
  other: readonly Row[],
  isLess: (a: Row, b: Row) => boolean,
  turns: Turns,
): Promise<Row[]> {
  const rows: Row[] = []
  let a = 0
  let b = 0
  while (a < one.length || b < other.length) {
    const takesOther = a === one.length || (b < other.length && isLess(other[b]!, one[a]!))
    rows.push(takesOther ? other[b++]! : one[a++]!)
    if (turns.spend(0.2)) await turns.rest()
  }
  return rows
}
