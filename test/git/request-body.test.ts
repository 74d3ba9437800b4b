/** Bodies of git requests whose sender is slow, on a real connection with a clock that is turned by hand. */
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { collect, readBody } from '../../src/git/request-body.js'
import { ManualClock } from '../support/manual-clock.js'

type Reading = (body: AsyncGenerator<Buffer>) => Promise<unknown>

/** Sends a head and some bytes, and reads the body; gives what that fails with. */
async function slowly(clock: ManualClock, read: Reading, came: () => void): Promise<unknown> {
  let failed: (error: unknown) => void = () => undefined
  const failure = new Promise((resolve) => {
    failed = resolve
  })
  const server = http.createServer((req, res) => {
    req.once('readable', came)
    read(readBody(req, { limitBytes: 1e6, onChunk: () => undefined, clock })).then(() => failed(undefined), failed)
    res.on('error', () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n0000`)
  const error = await failure
  socket.destroy()
  server.close()
  return error
}

it('cuts a body off of which nothing comes', async () => {
  const clock = new ManualClock()
  // Once the bytes have been taken in, and more are waited for.
  const came = () => setImmediate(() => setImmediate(() => clock.advance(31_000)))
  expect(await slowly(clock, collect, came)).toMatchObject({ status: 408 })
})

it('does not hold against the sender what its reader took for itself', async () => {
  const clock = new ManualClock()
  const read: Reading = async (body) => {
    await body.next()
    // The reader is busy for a minute; then it is the sender's turn.
    clock.advance(60_000)
    const rest = body.next()
    let settled = false
    rest.then(
      () => (settled = true),
      () => (settled = true),
    )
    await new Promise(setImmediate)
    expect(settled).toBe(false)
    clock.advance(61_000)
    await rest
  }
  expect(await slowly(clock, read, () => undefined)).toMatchObject({ status: 408 })
})
