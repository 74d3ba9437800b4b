import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TraceFiles, type TraceProgress } from '../../../src/core/blobs/trace-files.js'

class Box implements AsyncDisposable {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-traces-'))
  readonly commits: TraceProgress[][] = []
  readonly fatal: unknown[] = []
  answer: (progress: TraceProgress[]) => Promise<boolean[]> = async (progress) => progress.map(() => true)
  readonly files = new TraceFiles({
    folder: this.folder,
    commit: (progress) => {
      this.commits.push(progress)
      return this.answer(progress)
    },
    fatal: (error) => this.fatal.push(error),
  })

  session(jobId = 1, length = 0, secrets: string[] = []) {
    const start = { jobId, fence: 1, length, crc32: length === 0 ? 0 : crc32(this.content(jobId).subarray(0, length)) }
    return this.files.openSession(
      start,
      7,
      secrets.map((secret) => Buffer.from(secret)),
    )
  }

  content(jobId = 1): Buffer {
    return readFileSync(this.files.fileOf(jobId))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.files.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

describe('trace files', () => {
  it('commit a length only when the bytes are synced, and acknowledge only after the commit', async () => {
    await using box = new Box()
    const order: string[] = []
    const handle = await open(path.join(box.folder, 'probe'), 'w')
    const prototype = Object.getPrototypeOf(handle)
    const { datasync } = prototype
    await handle.close()
    prototype.datasync = async function (this: unknown) {
      order.push('sync starts')
      await datasync.call(this)
      order.push('sync ends')
    }
    try {
      box.answer = async (progress) => {
        order.push(`commit ${progress[0]!.length} with ${box.content().length} in the file`)
        return [true]
      }
      const length = await box.session().append(Buffer.from('hello'))
      order.push(`acknowledged ${length}`)
    } finally {
      prototype.datasync = datasync
    }
    expect(order).toEqual(['sync starts', 'sync ends', 'commit 5 with 5 in the file', 'acknowledged 5'])
  })

  it('join what arrives while a write is outstanding', async () => {
    await using box = new Box()
    const session = box.session()
    const pieces = Array.from({ length: 50 }, (_, i) => Buffer.from(`piece ${i}\n`))
    const lengths = await Promise.all(pieces.map((piece) => session.append(piece)))
    const whole = Buffer.concat(pieces)
    expect(box.content()).toEqual(whole)
    expect(lengths.at(-1)).toBe(whole.length)
    // One for the first piece, one for all that had come by then.
    expect(box.commits).toHaveLength(2)
    expect(box.commits.at(-1)).toMatchObject([{ length: whole.length, crc32: crc32(whole) }])
  })

  it('share a commit among jobs that got so far in the same turn, eight at once', async () => {
    await using box = new Box()
    await Promise.all(Array.from({ length: 40 }, (_, i) => box.session(i + 1).append(Buffer.from('x'))))
    expect(box.commits.flat()).toHaveLength(40)
    expect(box.commits.length).toBeLessThan(40)
    expect(Math.max(...box.commits.map((batch) => batch.length))).toBeLessThanOrEqual(8)
  })

  it('cut off at the first append what was never acknowledged', async () => {
    await using box = new Box()
    await box.session().append(Buffer.from('kept lost'))
    await box.files.closeSession(1, 1)
    const session = box.session(1, 5)
    await session.append(Buffer.from('new'))
    expect(box.content().toString()).toBe('kept new')
    expect(box.commits.at(-1)).toMatchObject([{ length: 8, crc32: crc32(Buffer.from('kept new')) }])
  })

  it('count nothing of a commit that failed, and write over it', async () => {
    await using box = new Box()
    const session = box.session()
    await session.append(Buffer.from('one '))
    box.answer = async () => {
      throw new Error('no commit')
    }
    const results = await Promise.allSettled([session.append(Buffer.from('lost ')), session.append(Buffer.from('too'))])
    expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected'])
    expect(session.accepted).toBe(4)
    box.answer = async () => [true]
    expect(await session.append(Buffer.from('two'))).toBe(7)
    expect(box.content().subarray(0, 7).toString()).toBe('one two')
    expect(session.committed.crc32).toBe(crc32(Buffer.from('one two')))
  })

  it('refuse bytes whose lease is over', async () => {
    await using box = new Box()
    box.answer = async () => [false]
    await expect(box.session().append(Buffer.from('late'))).rejects.toMatchObject({ code: 'fenced' })
  })

  it('treat a failed sync as the end, and a full disk as something that passes', async () => {
    await using box = new Box()
    const session = box.session()
    await session.append(Buffer.from('a'))
    const handle = await open(path.join(box.folder, 'probe'), 'w')
    const prototype = Object.getPrototypeOf(handle)
    const { datasync } = prototype
    await handle.close()
    const failWith = (code: string) => {
      prototype.datasync = async () => {
        throw Object.assign(new Error(code), { code })
      }
    }
    try {
      failWith('ENOSPC')
      await expect(session.append(Buffer.from('b'))).rejects.toMatchObject({ code: 'unavailable' })
      expect(box.fatal).toEqual([])
      failWith('EIO')
      await expect(session.append(Buffer.from('b'))).rejects.toMatchObject({ code: 'unavailable' })
      expect(box.fatal).toHaveLength(1)
    } finally {
      prototype.datasync = datasync
    }
    expect(await session.append(Buffer.from('b'))).toBe(2)
    expect(box.content().toString()).toBe('ab')
  })

  it('keep their folder readable for nobody else', async () => {
    await using box = new Box()
    await box.session().append(Buffer.from('x'))
    expect(statSync(box.files.fileOf(1)).mode & 0o077).toBe(0)
  })

  it('tell watchers of each new length', async () => {
    await using box = new Box()
    const seen: number[] = []
    const stop = box.files.watch(1, (length) => seen.push(length))
    const session = box.session()
    await session.append(Buffer.from('ab'))
    await session.append(Buffer.from('c'))
    stop()
    await session.append(Buffer.from('d'))
    expect(seen).toEqual([2, 3])
    expect(box.files.isWatched(1)).toBe(false)
  })

  it('read ranges of what is there', async () => {
    await using box = new Box()
    await box.session().append(Buffer.from('0123456789'))
    expect((await box.files.read(1, 3, 6)).toString()).toBe('345')
    expect((await box.files.read(1, 8, 99)).toString()).toBe('89')
    expect((await box.files.read(1, 5, 5)).toString()).toBe('')
  })
})

describe('masking', () => {
  const secret = 'token-0123456789'
  const text = `before ${secret} between ${secret}${secret} after`
  const covered = text.replaceAll(secret, '*'.repeat(secret.length))

  it('covers a secret however the log is cut into pieces', async () => {
    for (let cut = 0; cut <= text.length; cut++) {
      await using box = new Box()
      const session = box.session(1, 0, [secret])
      await session.append(Buffer.from(text.slice(0, cut)))
      if (cut < text.length) await session.append(Buffer.from(text.slice(cut)))
      expect(box.content().toString()).toBe(covered)
      // Offsets and the sum count what was received.
      expect(session.committed).toMatchObject({ length: text.length, crc32: crc32(Buffer.from(text)) })
      await box.files.close()
    }
  })

  it('covers secrets in any log, in any pieces', async () => {
    const secrets = ['abcabd', 'bdbd', 'xyz0']
    const alphabet = fc.constantFrom(...Array.from('abcdxyz0'))
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: alphabet, maxLength: 12 }), { maxLength: 8 }), async (pieces) => {
        await using box = new Box()
        const session = box.session(1, 0, secrets)
        for (const piece of pieces) if (piece !== '') await session.append(Buffer.from(piece))
        await box.files.close()
        const whole = pieces.join('')
        if (whole === '') return
        const stored = box.content().toString()
        expect(stored.length).toBe(whole.length)
        for (const one of secrets) expect(stored).not.toContain(one)
        // Only what belongs to a secret is covered.
        for (let i = 0; i < whole.length; i++) if (stored[i] !== '*') expect(stored[i]).toBe(whole[i])
      }),
      { numRuns: 60 },
    )
  })

  it('shows nothing that could still turn out to be a secret, and everything else at once', async () => {
    await using box = new Box()
    const session = box.session(1, 0, [secret])
    await session.append(Buffer.from('plain'))
    expect(session.visible).toBe(5)
    await session.append(Buffer.from(secret.slice(0, 7)))
    expect(session.visible).toBe(5)
    await session.append(Buffer.from('!'))
    expect(session.visible).toBe(5 + 7 + 1)
  })

  it('starts anew with what was there before a restart', async () => {
    await using box = new Box()
    await box.session(1, 0, [secret]).append(Buffer.from('a'))
    await box.files.close()
    writeFileSync(box.files.fileOf(1), 'a', { flag: 'r+' })
    const session = box.session(1, 1, [secret])
    await session.append(Buffer.from(secret))
    expect(box.content().toString()).toBe(`a${'*'.repeat(secret.length)}`)
  })
})
