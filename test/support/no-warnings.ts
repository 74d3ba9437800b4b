/** Fails the test in which Node has warned of something: a leak of listeners, a deprecation, a rejection handled late. */
import { afterAll, afterEach } from 'vitest'

const warnings: string[] = []
const note = (warning: Error) => void warnings.push(warning.stack ?? String(warning))
process.on('warning', note)

function refuseWarnings(): void {
  const seen = warnings.splice(0)
  if (seen.length > 0) throw new Error(`Node has warned: ${seen.join('\n')}`)
}

afterEach(refuseWarnings)
afterAll(() => {
  process.off('warning', note)
  refuseWarnings()
})
