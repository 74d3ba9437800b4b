import { expect, it } from 'vitest'
import { readEvents } from '../../src/cli/sse.js'

/** What is read out of a text that comes in pieces of so many bytes. */
async function read(text: string, size: number): Promise<{ event: string | undefined; data: string }[]> {
  const bytes = Buffer.from(text)
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
  }
  const events = []
  for await (const { event, data } of readEvents(pieces())) events.push({ event, data })
  return events
}

it.each([1, 2, 1000])('reads events as the standard says, in pieces of %i bytes', async (size) => {
  const text =
    ': hello\n\nevent: pipeline\ndata: {"name":\ndata: "größe"}\n\ndata:a\r\n\r\nevent: empty\n\ndata: cut off'
  expect(await read(text, size)).toEqual([
    { event: 'pipeline', data: '{"name":\n"größe"}' },
    { event: undefined, data: 'a' },
  ])
})
