import { expect, it } from 'vitest'
import { Exit, exitCodes } from '../../src/cli/exit.js'
import { followToEnd } from '../../src/cli/reconnect.js'

/** A stream that says something and then ends, for good or not. */
const hears = (ended: boolean) => async (alive: () => void) => {
  alive()
  return ended
}

const gone = new Exit(exitCodes.unreachable, 'gone')

function follow(reads: ((alive: () => void) => Promise<boolean>)[], patienceMs?: number) {
  const said: string[] = []
  const done = followToEnd({
    read: (alive) => reads.shift()!(alive),
    signal: new AbortController().signal,
    say: (line) => said.push(line),
    ...(patienceMs === undefined ? {} : { patienceMs }),
  })
  return { said, done }
}

it('does not wait for a coordinator that was never there', async () => {
  await expect(follow([() => Promise.reject(gone)]).done).rejects.toBe(gone)
})

it('begins again what broke off, and says so once', async () => {
  const { said, done } = follow([hears(false), () => Promise.reject(gone), hears(true)])
  await done
  expect(said).toEqual(['the coordinator has gone; waiting for it to come back'])
})

it('gives up when its patience is at an end', async () => {
  const { done } = follow([hears(false), () => Promise.reject(gone)], 0)
  await expect(done).rejects.toMatchObject({ code: exitCodes.unreachable })
})

it('passes on what is no loss of the connection', async () => {
  const refused = new Exit(exitCodes.notFound, 'no such pipeline')
  const { done } = follow([hears(false), () => Promise.reject(refused)])
  await expect(done).rejects.toBe(refused)
})
