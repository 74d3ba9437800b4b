/** Whole lives of a coordinator, by seed: every invariant holds, and the same seed is the same life. */
import { expect, it } from 'vitest'
import { Simulator } from '../../src/sim/simulate.js'

const long = process.env.SIGNALBOX_TEST_LONG === '1'
const seeds = long ? 20_000 : 200
const steps = long ? 300 : 40
/** Of every so many seeds one is run a second time. */
const repeatedEach = 100

it(`holds every invariant through ${seeds} seeds`, { timeout: long ? 3 * 3_600_000 : 300_000 }, async () => {
  const simulator = await Simulator.open()
  const jobs = { ended: 0 }
  for (let seed = 1; seed <= seeds; seed++) {
    const { hash, jobs: ended, violation } = await simulator.run({ seed, steps })
    expect(violation && `${violation.last.join('\n')}\n${violation.invariant}: ${violation.what}`, `seed ${seed}`).toBe(
      undefined,
    )
    jobs.ended += ended
    if (seed % repeatedEach === 0) expect((await simulator.run({ seed, steps })).hash, `seed ${seed}`).toBe(hash)
  }
  expect(jobs.ended).toBeGreaterThan(2 * seeds)
  simulator.close()
})

it('lives the same life in another process’s database, and another one by another seed', async () => {
  const [one, other] = [await Simulator.open(), await Simulator.open()]
  const hashes = [await one.run({ seed: 5 }), await other.run({ seed: 5 }), await one.run({ seed: 6 })].map(
    (run) => run.hash,
  )
  expect(hashes[0]).toBe(hashes[1])
  expect(hashes[2]).not.toBe(hashes[0])
  one.close()
  other.close()
})
