/** Turns selected files into one stream. Nothing is kept in memory but the list of names. */
import fs from 'node:fs'
import path from 'node:path'
import { Readable } from 'node:stream'
import zlib from 'node:zlib'
import { openFile } from './open-file.js'
import type { SelectLog } from './select.js'

/** The formats of `artifact_format` that this runner makes. */
export type PackFormat = 'zip' | 'gzip' | 'raw'

/** Rejects, or ends the stream with an error, if a file cannot be packed. */
export async function pack(
  format: PackFormat,
  root: string,
  files: readonly string[],
  log: SelectLog,
): Promise<() => Readable> {
  switch (format) {
    case 'zip': {
      const { zip } = await import('./zip.js')
      return () => zip(root, files, log)
    }
    case 'gzip':
      return () => Readable.from(gzip(root, files))
    case 'raw': {
      const [file, ...more] = files
      if (file === undefined || more.length > 0) {
        throw new Error(`only one file can be sent as raw, got ${files.length}`)
      }
      return () => openFile(root, file)
    }
  }
}

/**
 * One gzip member a file, one after the other, each with the file's name and, as comment, its path. Source: GitLab
 * Runner, `helpers/archives/gzip_create.go`; the format is RFC 1952.
 */
async function* gzip(root: string, files: readonly string[]): AsyncGenerator<Buffer> {
  for (const file of files) {
    const source = openFile(root, file)
    const modified = Math.floor(fs.lstatSync(path.join(root, file)).mtimeMs / 1000)
    const header = Buffer.from([0x1f, 0x8b, 8, flagName | flagComment, 0, 0, 0, 0, 0, 255])
    header.writeUInt32LE(Math.max(0, Math.min(modified, 0xffffffff)), 4)
    yield Buffer.concat([header, Buffer.from(`${headerText(path.basename(file))}\0${headerText(file)}\0`, 'latin1')])
    let crc = 0
    let length = 0
    source.on('data', (chunk: string | Buffer) => {
      crc = zlib.crc32(chunk, crc)
      length += chunk.length
    })
    const deflate = zlib.createDeflateRaw()
    source.on('error', (error) => deflate.destroy(error))
    try {
      for await (const chunk of source.pipe(deflate)) yield chunk as Buffer
    } finally {
      // Whoever reads may have had enough of it.
      source.destroy()
    }
    const trailer = Buffer.alloc(8)
    trailer.writeUInt32LE(crc, 0)
    trailer.writeUInt32LE(length % 2 ** 32, 4)
    yield trailer
  }
}

const flagName = 0x08
const flagComment = 0x10

/** The header's text is Latin-1; what is not ASCII is marked and percent-encoded. */
function headerText(text: string): string {
  return /^[ -~]*$/.test(text) && !text.includes('%') ? text : `e:${encodeURIComponent(text)}`
}
