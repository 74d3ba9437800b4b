// Seeds a second of the deterministic simulator, as CI runs them: lives of a whole installation, with every invariant asked
// after every step.
import { repeat, scaled } from '../lib.mjs'

const seeds = scaled(100, 5)
const steps = 40

export async function* measure() {
  const { Simulator } = await import('../../dist/sim/simulate.js')
  const simulator = await Simulator.open()
  let next = 1
  const live = async () => {
    const started = performance.now()
    for (const end = next + seeds; next < end; next++) {
      const { violation } = await simulator.run({ seed: next, steps })
      if (violation) throw new Error(`seed ${next}: ${violation.invariant}: ${violation.what}`)
    }
    return seeds / ((performance.now() - started) / 1000)
  }
  await live()
  yield {
    figure: 'simulated lives a second, 40 events each before all is healed',
    unit: '1/s',
    ours: await repeat(live),
    bar: 20,
    stretch: 50,
    better: 'more',
  }
  simulator.close()
}
