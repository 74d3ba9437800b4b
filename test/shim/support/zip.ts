import { buffer } from 'node:stream/consumers'
import yazl from 'yazl'

/** A zip of these files; a name that ends with a slash is a directory, a value with `link` a symbolic link. */
export async function zipOf(files: Record<string, string | { link: string }>): Promise<Buffer<ArrayBuffer>> {
  const zip = new yazl.ZipFile()
  for (const [name, content] of Object.entries(files)) {
    if (name.endsWith('/')) zip.addEmptyDirectory(name)
    else if (typeof content === 'string') zip.addBuffer(Buffer.from(content), name, { mode: 0o100644 })
    else zip.addBuffer(Buffer.from(content.link), name, { mode: 0o120777 })
  }
  zip.end()
  return Buffer.from(await buffer(zip.outputStream))
}
