/** Waiting for something or for the end of the job, whichever is first. */
import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { pause, unlessPulled } from '../../src/runner/job/time.js'

test('leaves nothing with a signal, however often it is waited for', async () => {
  const { signal } = new AbortController()
  for (let i = 0; i < 50; i++) {
    expect(await unlessPulled(signal, Promise.resolve(i))).toBe(i)
    await expect(unlessPulled(signal, Promise.reject(new Error('no')))).rejects.toThrow('no')
    await pause(0, signal)
  }
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

test('ends with the signal, and does not care for what comes later', async () => {
  const stop = new AbortController()
  let fail: (error: Error) => void = () => undefined
  const waiting = unlessPulled(stop.signal, new Promise((_, reject) => (fail = reject)))
  const long = pause(1_000_000, stop.signal)
  stop.abort()
  expect(await waiting).toBeUndefined()
  await long
  fail(new Error('too late'))
  expect(await unlessPulled(stop.signal, Promise.reject(new Error('late from the beginning')))).toBeUndefined()
  await pause(1_000_000, stop.signal)
})
