/** `signalbox sim`: lives of a whole installation in virtual time, each decided by its seed. */
import { Exit, exitCodes } from '../exit.js'
import { openTerminal } from '../terminal.js'

interface SimCommandOptions {
  seed?: string
  seeds?: string
  steps?: string
  json?: boolean
}

const largestSeed = 2 ** 32 - 1

/** Ends with 1 when an invariant is broken: what happened last is printed, and how to see it again. */
export async function sim(options: SimCommandOptions): Promise<void> {
  const first = wholeNumber('--seed', options.seed ?? '1', { from: 0, to: largestSeed })
  const count = wholeNumber('--seeds', options.seeds ?? '1', { from: 1, to: largestSeed })
  const { defaultSteps, Simulator } = await import('../../sim/simulate.js')
  const steps = wholeNumber('--steps', options.steps ?? String(defaultSteps), { from: 1, to: 1_000_000 })
  const terminal = openTerminal()
  const simulator = await Simulator.open()
  const started = performance.now()
  let jobs = 0
  for (let i = 0; i < count; i++) {
    const seed = (first + i) % (largestSeed + 1)
    const outcome = await simulator.run({ seed, steps })
    jobs += outcome.jobs
    if (options.json) terminal.out(JSON.stringify(outcome))
    const { violation } = outcome
    if (violation) {
      if (!options.json) for (const line of violation.last) terminal.out(line)
      const message = `seed ${seed}, step ${violation.step}: ${violation.invariant}: ${violation.what}`
      throw new Exit(exitCodes.failed, message, `again: signalbox sim --seed ${seed} --steps ${steps}`)
    }
    if (count === 1 && !options.json) terminal.out(`seed ${seed}: ${outcome.steps} steps, hash ${outcome.hash}`)
  }
  const seconds = (performance.now() - started) / 1000
  if (!options.json) terminal.out(`${count} seeds, ${jobs} jobs, ${seconds.toFixed(1)} s: every invariant held`)
}

function wholeNumber(flag: string, text: string, { from, to }: { from: number; to: number }): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (value >= from && value <= to) return value
  throw new Exit(exitCodes.usage, `${flag} is a whole number from ${from} to ${to}, not ${JSON.stringify(text)}`)
}
