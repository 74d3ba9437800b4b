/** Seeded randomness. Each part of a simulation draws from a stream of its own, so that one more draw here moves nothing there. */
import type { Random } from '../core/clock.js'

export class SimRandom implements Random {
  readonly #seed: number
  #state: number

  /** `seed`: an unsigned 32-bit number. */
  constructor(seed: number) {
    this.#seed = seed >>> 0
    this.#state = this.#seed
  }

  /** A stream of its own, named so that others do not depend on the order in which streams are made. */
  fork(name: string): SimRandom {
    let hash = this.#seed ^ 0x9e3779b9
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
    return new SimRandom(mix(hash))
  }

  /** At least 0, below 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    return mix(this.#state) / 2 ** 32
  }

  /** A whole number of 0 … `below` − 1. */
  int(below: number): number {
    return Math.floor(this.next() * below)
  }

  /** A whole number of `from` … `to`, both included. */
  between(from: number, to: number): number {
    return from + this.int(to - from + 1)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)]!
  }

  /** One of the names, each as often as its weight says. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
    const entries = Object.entries(weights) as [Name, number][]
    let rest = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [name, weight] of entries) {
      rest -= weight
      if (rest < 0) return name
    }
    return entries.at(-1)![0]
  }

  bytes(count: number): Buffer {
    const buffer = Buffer.allocUnsafe(count)
    for (let i = 0; i < count; i++) buffer[i] = this.int(256)
    return buffer
  }
}

function mix(value: number): number {
  let t = Math.imul(value ^ (value >>> 15), value | 1)
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
  return (t ^ (t >>> 14)) >>> 0
}
