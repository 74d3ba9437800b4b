/**
 * Takes the output of a container apart. Without a terminal the engine sends frames: a byte that names the stream, three of
 * nothing, the length in four bytes, the bytes. https://docs.docker.com/reference/api/engine/ (ContainerAttach)
 */
import type { Readable } from 'node:stream'

const headerBytes = 8

/** Hands over what stdout and stderr bring, in the order of the frames; the next piece comes when the last one was taken. */
export async function pumpFrames(source: Readable, output: (chunk: Uint8Array) => Promise<void>): Promise<void> {
  let header: Buffer = Buffer.alloc(0)
  let left = 0
  for await (const chunk of source as AsyncIterable<Buffer>) {
    let rest = chunk
    while (rest.length > 0) {
      if (left === 0) {
        const missing = headerBytes - header.length
        header = Buffer.concat([header, rest.subarray(0, missing)])
        rest = rest.subarray(missing)
        if (header.length < headerBytes) break
        left = header.readUInt32BE(4)
        header = Buffer.alloc(0)
        continue
      }
      const piece = rest.subarray(0, left)
      rest = rest.subarray(piece.length)
      left -= piece.length
      await output(piece)
    }
  }
}
