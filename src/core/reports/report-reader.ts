/**
 * Reports among the artifacts of jobs, unpacked and read: at most two at once, and within limits of size. Their readers are
 * loaded with the first report.
 */
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import type { Artifact } from '../artifact.js'
import type { BlobStore } from '../blobs/blob-store.js'
import { BoundedCache } from '../bounded-cache.js'
import type { QualityCounts } from './code-quality.js'
import type { LineCoverage } from './coverage-report.js'
import { ReportError } from './report-error.js'
import type { TestCase } from './tests.js'

/** A report, or what is wrong with it. */
export type Read<T> = { ok: true; value: T } | { ok: false; error: string }

const mebibyte = 1024 * 1024
/** Unpacked. JSON is read in one go, and nobody else's turn comes meanwhile. */
const largest = { xml: 64 * mebibyte, json: 4 * mebibyte }
const atOnce = 2

/** Reads reports, and keeps 64 MiB of what it has read. */
export class ReportReader {
  readonly #artifacts: BlobStore
  readonly #tests = new BoundedCache<Read<TestCase[]>>(64 * mebibyte)
  readonly #waiting: (() => void)[] = []
  #busy = 0

  constructor(artifacts: BlobStore) {
    this.#artifacts = artifacts
  }

  async tests(artifact: Artifact): Promise<Read<TestCase[]>> {
    const known = this.#tests.get(artifact.location)
    if (known) return known
    const { readJUnit } = await import('./junit.js')
    const read = await this.#read(artifact, largest.xml, (source) => readJUnit(source))
    return this.#tests.set(artifact.location, read, weightOf(read))
  }

  async coverage(artifact: Artifact): Promise<Read<LineCoverage>> {
    const { readCobertura, readJacoco } = await import('./coverage-report.js')
    return this.#read(artifact, largest.xml, artifact.type === 'jacoco' ? readJacoco : readCobertura)
  }

  async codeQuality(artifact: Artifact): Promise<Read<QualityCounts>> {
    const { readCodeQuality } = await import('./code-quality.js')
    return this.#read(artifact, largest.json, readCodeQuality)
  }

  /** Rejects when the bytes cannot be had. */
  async #read<T>(
    artifact: Artifact,
    limit: number,
    read: (source: AsyncIterable<Uint8Array>) => Promise<T>,
  ): Promise<Read<T>> {
    await this.#take()
    const stored = this.#artifacts.open(artifact.location)
    try {
      return { ok: true, value: await read(unpacked(stored, artifact.format, limit)) }
    } catch (error) {
      if (error instanceof ReportError) return { ok: false, error: error.message }
      throw error
    } finally {
      stored.destroy()
      this.#busy--
      this.#waiting.shift()?.()
    }
  }

  async #take(): Promise<void> {
    if (this.#busy >= atOnce) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#busy++
  }
}

async function* unpacked(stored: Readable, format: string, limit: number): AsyncGenerator<Buffer> {
  let size = 0
  const source = format === 'gzip' ? stored.pipe(createGunzip()) : stored
  if (source !== stored) stored.on('error', (error) => source.destroy(error))
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > limit) throw new ReportError(`a report may have ${limit} bytes`)
      yield chunk
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code?.startsWith('Z_') || code === 'ERR_BUFFER_TOO_LARGE') throw new ReportError('the report is not gzip')
    throw error
  } finally {
    source.destroy()
  }
}

function weightOf(read: Read<TestCase[]>): number {
  if (!read.ok) return 100
  return read.value.reduce((sum, one) => sum + 200 + 2 * (one.name.length + (one.output?.length ?? 0)), 0)
}
