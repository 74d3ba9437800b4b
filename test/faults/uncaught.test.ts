/** Exceptions that nobody catches, of each kind, in a running coordinator. */
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { Coordinator } from '../support/processes.js'

const throwing = fileURLToPath(new URL('../support/throw-everywhere.mjs', import.meta.url))
const kinds = 17

it('outlives exceptions in callbacks of each kind, counts them, and ends with 70 at a fault of storage', async () => {
  await using box = await Coordinator.start({ nodeFlags: ['--import', throwing] })
  const count = async () => {
    const metrics = await (await fetch(`${box.url}/metrics`)).text()
    return Number(/^signalbox_uncaught_faults (\d+)/m.exec(metrics)?.[1])
  }
  box.signal('SIGUSR2')
  await eventually(async () => expect(await count()).toBe(kinds))
  // Another pipe than the answer's: the last line may come later.
  const told = () =>
    box.stderr
      .split('\n')
      .slice(0, -1)
      // The link of a first start is no entry of the log.
      .filter((line) => !line.startsWith('signalbox: '))
      .map((line) => JSON.parse(line).msg)
  await eventually(() => expect(told()).toEqual(Array(kinds).fill('a fault that nobody caught; the process goes on')))
  expect((await fetch(`${box.url}/-/ready`)).status).toBe(200)

  const ended = box.ended()
  box.signal('SIGUSR2')
  expect(await ended).toBe(70)
})
