/**
 * Reads refs as git stores them (https://git-scm.com/docs/gitrepository-layout), without starting git: a loose file wins
 * over a line of `packed-refs`. Packing writes the line before it removes the file, so reading in this order never
 * misses a ref.
 *
 * Synchronous on purpose: a local file of 41 bytes costs some 7 µs of processor time this way and twenty times that by
 * the thread pool, and every pipeline begins with it.
 */
import fs from 'node:fs'
import path from 'node:path'
import { isObjectId } from './ref-name.js'

interface Packed {
  /** Identity of the file that was read. */
  stamp: string
  /** The file as it is: parsing a hundred thousand lines would hold up the loop, a search for one does not. */
  content: Buffer
  found: Map<string, string | undefined>
}

/** Repositories whose packed refs are kept in memory. */
const packedLimit = 64
/** Answers that are kept of one file. */
const foundLimit = 10_000

export class RefReader {
  readonly #packed = new Map<string, Packed>()

  /** The object id of a full ref in a repository's folder; undefined if there is none. The name was checked. */
  read(repository: string, ref: string): string | undefined {
    return readLoose(path.join(repository, ref)) ?? this.readPacked(repository, ref)
  }

  readPacked(repository: string, ref: string): string | undefined {
    const packed = this.#load(path.join(repository, 'packed-refs'))
    if (!packed) return undefined
    if (packed.found.has(ref)) return packed.found.get(ref)
    // ` NAME\n` is found in the line of this very ref only: no name holds a space, and each ends its line.
    const at = packed.content.indexOf(` ${ref}\n`)
    const start = packed.content.lastIndexOf('\n', at) + 1
    const id = at < 0 ? undefined : packed.content.toString('latin1', start, at)
    const answer = id !== undefined && isObjectId(id) ? id : undefined
    if (packed.found.size >= foundLimit) packed.found.clear()
    packed.found.set(ref, answer)
    return answer
  }

  #load(file: string): Packed | undefined {
    const stat = fs.statSync(file, { bigint: true, throwIfNoEntry: false })
    if (!stat) {
      this.#packed.delete(file)
      return undefined
    }
    const stamp = `${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`
    const known = this.#packed.get(file)
    if (known?.stamp === stamp) return known
    const content = readIfThere(file)
    if (!content) return undefined
    const packed = { stamp, content, found: new Map<string, string | undefined>() }
    this.#packed.delete(file)
    if (this.#packed.size >= packedLimit) this.#packed.delete(this.#packed.keys().next().value as string)
    this.#packed.set(file, packed)
    return packed
  }
}

function readLoose(file: string): string | undefined {
  try {
    // A look first: an exception for each missing file costs more than the look.
    if (!fs.statSync(file, { throwIfNoEntry: false })?.isFile()) return undefined
  } catch (error) {
    return unlessMissing(error)
  }
  const id = readIfThere(file)?.toString('latin1').trimEnd()
  return id !== undefined && isObjectId(id) ? id : undefined
}

function readIfThere(file: string): Buffer | undefined {
  try {
    return fs.readFileSync(file)
  } catch (error) {
    return unlessMissing(error)
  }
}

/** `refs/heads/a/b` is missing too when `a` is a branch, that is, a file. */
function unlessMissing(error: unknown): undefined {
  const { code } = error as NodeJS.ErrnoException
  if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'EISDIR') throw error
  return undefined
}
