/**
 * Each planted bug is found by its seed, by the invariant that it breaks; without the bug the seed passes. After a change
 * that moves what seeds do, `SIM_SEARCH=` looks for new ones and prints them (`SIM_SEARCH=fence` for that bug only).
 */
import { afterAll, expect, it } from 'vitest'
import { type Fault, faults, plant } from './faults.js'

const steps = 120

afterAll(() => plant())

/** Simulators of the code as it is, and of the code with a fault. */
async function openWith(fault?: Fault) {
  plant(fault)
  const { Simulator } = await import('../../src/sim/simulate.js')
  const simulator = await Simulator.open()
  const replace = fault?.replace
  return {
    run: async (seed: number) => (await simulator.run({ seed, steps, ...(replace ? { replace } : {}) })).violation,
    [Symbol.dispose]: () => simulator.close(),
  }
}

/** The first copy of everything is the slow one. */
const timeoutMs = 120_000

const searched = process.env.SIM_SEARCH
if (searched === undefined) {
  it.each(faults)('seed $seed finds a coordinator that $bug', { timeout: timeoutMs }, async (fault) => {
    using simulator = await openWith(fault)
    expect(await simulator.run(fault.seed)).toMatchObject({ invariant: fault.invariant })
  })

  it('finds nothing with these seeds where nothing is planted', { timeout: timeoutMs }, async () => {
    using simulator = await openWith()
    for (const { seed } of faults) expect(await simulator.run(seed), `seed ${seed}`).toBeUndefined()
  })
} else {
  const wanted = faults.filter(({ bug }) => new RegExp(searched).test(bug))
  it.each(wanted)('looks for a seed that finds: $bug', { timeout: 3_600_000 }, async (fault) => {
    using simulator = await openWith(fault)
    const others: Record<string, number> = {}
    for (let seed = 1; seed <= 600; seed++) {
      const found = (await simulator.run(seed))?.invariant
      if (found === undefined) continue
      if (found === fault.invariant) {
        console.log(`${fault.bug}: ${seed} ${JSON.stringify(others)}`)
        return
      }
      others[found] ??= seed
    }
    throw new Error(`nothing finds: ${fault.bug}, but ${JSON.stringify(others)}`)
  })
}
