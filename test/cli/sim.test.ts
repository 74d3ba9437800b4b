/** `signalbox sim` as a person types it. */
import { expect, it } from 'vitest'
import { signalbox } from '../support/processes.js'

const sim = (...args: string[]) => signalbox(['sim', ...args], { env: { NO_COLOR: '1' } })

it('lives through seeds, the same each time', async () => {
  const [first, again] = await Promise.all([sim('--seed', '7', '--steps', '40'), sim('--seed', '7', '--steps', '40')])
  expect(first).toMatchObject({ code: 0, stderr: '' })
  const hash = /^seed 7: \d+ steps, hash ([0-9a-f]{16})$/m
  expect(hash.exec(first.stdout)?.[1]).toBe(hash.exec(again.stdout)?.[1])
  const { stdout } = await sim('--seed', '7', '--seeds', '3', '--steps', '40', '--json')
  expect(
    stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).seed),
  ).toEqual([7, 8, 9])
})

it.each([
  [['--seed', 'x'], '--seed is a whole number from 0 to 4294967295, not "x"'],
  [['--seeds', '0'], '--seeds'],
])('refuses %j', async (args, message) => {
  const { code, stderr } = await sim(...args)
  expect(code).toBe(2)
  expect(stderr).toContain(message)
})
