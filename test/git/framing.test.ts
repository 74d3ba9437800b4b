import { describe, expect, it } from 'vitest'
import { BoundedCache } from '../../src/core/bounded-cache.js'
import { parseCommit } from '../../src/git/object-formats.js'
import { checkPackets, flushPacket, PacketReader, toPacket } from '../../src/git/pkt-line.js'
import { PushReport } from '../../src/git/push-report.js'
import { readPushHead } from '../../src/git/push-request.js'
import { isRefName } from '../../src/git/ref-name.js'
import { git } from './support/git.js'

const ids = { old: 'a'.repeat(40), new: 'b'.repeat(40) }

describe('packets', () => {
  it('are found wherever the bytes are cut', () => {
    const bytes = Buffer.concat([
      toPacket('one\n'),
      flushPacket,
      toPacket(''),
      Buffer.from('00010002'),
      toPacket('zwö'),
    ])
    for (let cut = 0; cut <= bytes.length; cut++) {
      const reader = new PacketReader()
      const found: string[] = []
      for (const part of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
        reader.push(part)
        for (let packet = reader.next(); packet; packet = reader.next()) {
          found.push(packet.kind === 'data' ? packet.bytes.toString() : packet.kind)
        }
      }
      expect(found).toEqual(['one\n', 'flush', '', 'delimiter', 'end', 'zwö'])
    }
    expect(() => checkPackets(bytes)).not.toThrow()
    expect(() => checkPackets(bytes.subarray(0, -1))).toThrow()
  })
})

describe('the head of a push', () => {
  const body = [
    toPacket(`shallow ${ids.old}`),
    toPacket(`${ids.old} ${ids.new} refs/heads/a b\0report-status push-options`),
    toPacket(`${ids.old} ${ids.new} refs/tags/ü\n`),
    flushPacket,
    toPacket('ci.skip'),
    toPacket('x=y\n'),
    flushPacket,
    Buffer.from('PACK…'),
  ]
  const read = async (bytes: Buffer, cut: number) =>
    readPushHead([bytes.subarray(0, cut), bytes.subarray(cut)][Symbol.iterator]() as unknown as AsyncIterator<Buffer>)

  it('is read wherever the bytes are cut, and no byte of the pack is lost', async () => {
    const bytes = Buffer.concat(
      body.with(1, toPacket(`${ids.old} ${ids.new} refs/heads/a\0report-status push-options`)),
    )
    for (let cut = 0; cut < bytes.length; cut++) {
      const head = await read(bytes, cut)
      expect(head.commands.map(({ ref }) => ref)).toEqual(['refs/heads/a', 'refs/tags/ü'])
      expect(head.options).toEqual(['ci.skip', 'x=y'])
      expect([...head.capabilities]).toEqual(['report-status', 'push-options'])
      expect(Buffer.concat([...head.chunks, bytes.subarray(Buffer.concat(head.chunks).length)])).toEqual(bytes)
    }
  })

  it('is refused with a name that cannot be', async () => {
    await expect(read(Buffer.concat(body), 10)).rejects.toMatchObject({ status: 400 })
  })
})

describe('the report of a push', () => {
  const inner = Buffer.concat([
    toPacket('unpack ok\n'),
    toPacket('ok refs/heads/a\n'),
    toPacket('ng refs/heads/b hook declined\n'),
    flushPacket,
  ])
  const banded = Buffer.concat([toPacket('\x02Resolving…\n'), toPacket(`\x01${inner.toString()}`), flushPacket])

  it('is understood and passed on wherever the bytes are cut, with our lines before its end', () => {
    for (let cut = 0; cut <= banded.length; cut++) {
      const report = new PushReport(new Set(['side-band-64k', 'report-status']))
      const passed = [report.through(banded.subarray(0, cut)), report.through(banded.subarray(cut))]
      expect([...report.results]).toEqual([
        ['refs/heads/a', true],
        ['refs/heads/b', false],
      ])
      const end = report.finish(['Hello', 'ü'])
      expect(Buffer.concat([...passed, end])).toEqual(
        Buffer.concat([banded.subarray(0, -4), toPacket('\x02Hello\nü\n'), flushPacket]),
      )
    }
  })

  it('is passed on as it is without bands, or when it is something else', () => {
    const plain = new PushReport(new Set(['report-status']))
    expect(plain.through(inner)).toEqual(inner)
    expect(plain.results.get('refs/heads/b')).toBe(false)
    expect(plain.finish(['Hello'])).toEqual(Buffer.alloc(0))
    const odd = new PushReport(new Set(['side-band-64k']))
    const bytes = Buffer.concat([toPacket('\x02one'), Buffer.from('not a packet')])
    expect(Buffer.concat([odd.through(bytes), odd.through(Buffer.from('more')), odd.finish(['Hello'])])).toEqual(
      Buffer.concat([bytes, Buffer.from('more')]),
    )
  })

  it('holds long lines in packets of the smaller band', () => {
    const report = new PushReport(new Set(['side-band']))
    report.through(banded)
    const reader = new PacketReader()
    reader.push(report.finish(['ü'.repeat(2000)]))
    const lengths: number[] = []
    for (let packet = reader.next(); packet?.kind === 'data'; packet = reader.next())
      lengths.push(packet.bytes.length + 4)
    expect(Math.max(...lengths)).toBeLessThanOrEqual(1000)
    expect(lengths.reduce((sum, one) => sum + one - 5, 0)).toBe(4001)
  })
})

describe('ref names', () => {
  it('are those that git accepts', async () => {
    const names = [
      'refs/heads/a',
      'refs/heads/a/b',
      'refs/heads/@',
      'refs/heads/a@b',
      'refs/heads/ü',
      'refs/stash',
      'refs/heads/a..b',
    ]
    names.push(
      'refs/heads/a.lock',
      'refs/heads/a.lockb',
      'refs/heads/.a',
      'refs/heads/a.',
      'refs/heads/a{',
      'refs/heads/@{',
    )
    names.push(
      'refs/heads/a b',
      'refs/heads/a~',
      'refs//a',
      'refs/heads/a/',
      'refs/heads/a\\b',
      'refs/heads/a\x7f',
      'refs/heads/a,;$(b)',
    )
    for (const name of names) {
      const accepted = await git('/', 'check-ref-format', name).then(
        () => true,
        () => false,
      )
      expect([name, isRefName(name)]).toEqual([name, accepted])
    }
  })
})

describe('commits', () => {
  it('are read however broken they are', () => {
    const parse = (text: string) => parseCommit('x', Buffer.from(text)).info
    expect(parse('')).toMatchObject({ author: ' <>', message: '', timestamp: '1970-01-01T00:00:00+00:00' })
    expect(parse('tree x\nauthor A <a> 1 +0000\n\n\nodd')).toMatchObject({ author: 'A <a>', message: '\nodd' })
    const times: [text: string, time: string][] = [
      ['1767225600 +0545', '2026-01-01T05:45:00+05:45'],
      ['1767225600 -0330', '2025-12-31T20:30:00-03:30'],
      ['-5 +0000', '1970-01-01T00:00:00+00:00'],
      ['99999999999999999999 +0000', '9999-12-31T23:59:59+00:00'],
      ['1 +9999', '1970-01-05T04:39:01+99:99'],
    ]
    for (const [text, time] of times) expect(parse(`committer C <c> ${text}\n\n`).timestamp).toBe(time)
    expect(parse('encoding nonsense\nauthor Ä <a> 1 +0000\n\nü').message).toBe('ü')
  })
})

describe('the cache', () => {
  it('keeps what was used last, up to its weight', () => {
    const cache = new BoundedCache<number>(80)
    for (let i = 0; i < 8; i++) cache.set(String(i), i, 10)
    expect(cache.get('0')).toBe(0)
    cache.set('8', 8, 10)
    expect([cache.get('0'), cache.get('1'), cache.get('8'), cache.weight]).toEqual([0, undefined, 8, 80])
    cache.set('too heavy', 9, 11)
    cache.set('8', 80, 5)
    expect([cache.get('too heavy'), cache.get('8'), cache.weight]).toEqual([undefined, 80, 75])
  })
})
