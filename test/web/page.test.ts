/** The page as it is served, and the parts of it that need no browser. */
import { readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LogScan } from '../../src/core/log-scan.js'
import { isPagePath } from '../../src/page.js'
import { scrollTopOf, windowAt } from '../../src/web/log/scroll.js'
import { Folding, keyOf, sectionsOf } from '../../src/web/log/sections.js'
import { parseLine, plain, textOf } from '../../src/web/log/text.js'
import { placeOf } from '../../src/web/places.js'
import { ago, duration } from '../../src/web/time.js'
import { criticalPath } from '../../src/web/views/layout.js'
import { Coordinator } from '../support/processes.js'

describe('what is served', () => {
  let box: Coordinator
  beforeAll(async () => {
    box = await Coordinator.start()
  })
  afterAll(() => box[Symbol.asyncDispose]())

  it('is one document with a policy that lets in nothing else, and files that never change', async () => {
    for (const where of ['/', '/g/p', '/g/p/-/pipelines/1', '/g/p/-/jobs/2', '/-/fleet', '/groups/g']) {
      const page = await fetch(box.url + where, { headers: { 'Accept-Encoding': 'identity' } })
      expect([where, page.status, page.headers.get('content-type')]).toEqual([where, 200, 'text/html; charset=utf-8'])
      expect(page.headers.get('content-security-policy')).toBe(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
      )
      expect(page.headers.get('x-content-type-options')).toBe('nosniff')
      expect(page.headers.get('referrer-policy')).toBe('no-referrer')
      expect(page.headers.get('cache-control')).toBe('no-cache')
      const text = await page.text()
      expect(text).not.toMatch(/<script(?![^>]* src="\/assets\/)|https?:|style=/)
      for (const [, file] of text.matchAll(/"(\/assets\/[^"]+)"/g)) {
        const asset = await fetch(box.url + file)
        expect([asset.status, asset.headers.get('cache-control')]).toEqual([200, 'public, max-age=31536000, immutable'])
        expect(asset.headers.get('content-encoding')).toBe('gzip')
      }
    }
    for (const where of ['/assets/nothing.js', '/favicon.ico', '/g/p/-/jobs/2/raw', '/-/nothing']) {
      expect([where, (await fetch(box.url + where)).status]).not.toEqual([where, 200])
    }
    expect((await fetch(`${box.url}/g/p`, { method: 'POST' })).status).not.toBe(200)
  })
})

it('is at most 100 KB for the first view', () => {
  const folder = path.resolve('dist/web')
  const sizes = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.gz'))
    .map((name) => statSync(path.join(folder, name)).size)
  expect(sizes.length).toBeGreaterThan(2)
  // All of it, also what is loaded later, is less than the first view may be.
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(100_000)
})

it('is at the addresses that the API gives, and at no others', () => {
  const table: [path: string, view: string][] = [
    ['/', 'projects'],
    ['/group/sub/name', 'project'],
    ['/group/name/-/pipelines', 'project'],
    ['/group/name/-/pipelines/7', 'pipeline'],
    ['/group/name/-/jobs/7', 'job'],
    ['/group/name/-/commit/0123abcd', 'project'],
    ['/group/name/-/tree/feature/one', 'project'],
    ['/group/name/-/settings/variables', 'part'],
    ['/group/name/-/merge_requests/7', 'part'],
    ['/group/name/-/compare/main...topic/one', 'part'],
    ['/groups/group/sub', 'group'],
    ['/root', 'group'],
    ['/group/name/-/pipelines/x', 'nothing'],
    ['/%', 'nothing'],
  ]
  for (const [where, view] of table) expect([where, placeOf(where).view]).toEqual([where, view])
  for (const [where, view] of table) if (view !== 'nothing') expect([where, isPagePath(where)]).toEqual([where, true])
  for (const where of ['/api/v4/projects', '/a/b.git', '/a/b.git/info/refs', '/-/ready', '/metrics', '/robots.txt']) {
    expect([where, isPagePath(where)]).toEqual([where, false])
  }
})

describe('a line of a log', () => {
  const text = (raw: string) => textOf(parseLine(raw, plain))
  it.each([
    ['\x1b[31mred\x1b[0m', 'red'],
    ['<img src=x onerror=alert(1)>', '<img src=x onerror=alert(1)>'],
    ['\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07', 'click'],
    ['\x1b]0;title\x1b\\rest', 'rest'],
    ['\x1bPq#0;2;0;0;0\x1b\\after', 'after'],
    ['\x1b[2J\x1b[1;1Hhome', 'home'],
    ['10%\r55%\r100%', '100%'],
    ['pass\u202eword', 'pass<U+202E>word'],
    ['section_start:1700000000:build[collapsed=true]\r\x1b[0KBuild it', 'Build it'],
    ['2024-05-22T12:43:46.962646Z 00O hello', 'hello'],
    [`\x1b[${'1;'.repeat(500)}m`, ''],
  ])('%j is %j', (raw, wanted) => {
    expect(text(raw).replace(/^[\d;m]+$/, '')).toBe(wanted)
  })
  it('has links to http and https alone', () => {
    const { pieces } = parseLine('see https://example.com/a?b=1, javascript:alert(1) and file:///etc/passwd', plain)
    expect(pieces.filter((one) => one.href).map((one) => one.href)).toEqual(['https://example.com/a?b=1'])
  })
  it('is cut where no screen is wide enough', () => {
    expect(text('x'.repeat(1_000_000)).length).toBeLessThan(5000)
  })
})

describe('a log', () => {
  it('is scanned to the same end in pieces of any size', () => {
    const lines = Array.from({ length: 2500 }, (_, i) => `line ${i}`)
    lines[10] = 'section_start:1700000000:build[collapsed=true]\r\x1b[0KBuild'
    lines[1200] = 'section_end:1700000009:build\r\x1b[0K'
    lines[2000] = 'error: gone'
    const bytes = Buffer.from(`${lines.join('\n')}\nrest`)
    const scanned = [1, 7, 1000, bytes.length].map((size) => {
      const scan = new LogScan(['error: gone', 'not there'])
      for (let at = 0; at < bytes.length; at += size) scan.add(bytes.subarray(at, at + size))
      return scan.end(true)
    })
    for (const one of scanned) expect(one).toEqual(scanned[0])
    expect(scanned[0]).toMatchObject({ lines: 2501, failureLines: [2000] })
    expect(scanned[0]!.offsets).toHaveLength(3)
    expect(bytes.subarray(scanned[0]!.offsets[2]!).toString()).toMatch(/^error: gone\n/)
    const [section] = sectionsOf(scanned[0]!.marks, 2501)
    expect(section).toMatchObject({ name: 'build', start: 10, end: 1200, tookMs: 9000, closedAtFirst: true })
    const folding = new Folding([section!], new Set([keyOf(section!)]), 2501)
    expect(folding.count).toBe(2501 - 1189)
    for (const line of [0, 10, 1200, 2000, 2500]) expect(folding.lineAt(folding.placeOf(line))).toBe(line)
    expect(folding.placeOf(700)).toBe(folding.placeOf(10))
  })
  it('of a million lines shows as many as fit, and each can be reached', () => {
    for (const row of [0, 1, 499_999, 999_000, 999_999]) {
      const view = windowAt(scrollTopOf(row, 600, 1_000_000), 600, 1_000_000)
      expect(view.to - view.from).toBeLessThan(100)
      expect(view.from <= row && row < view.to).toBe(true)
      expect(view.height).toBeLessThan(17_000_000)
    }
  })
})

it('finds what the end of a pipeline waited for', () => {
  const job = (id: number, queued: number, started: number, finished: number) =>
    ({ id, stage: 's', queued_at: queued, started_at: started, finished_at: finished }) as never
  const found = criticalPath([job(1, 0, 5, 10), job(2, 0, 0, 30), job(3, 30, 50, 60), job(4, 10, 10, 20)], {
    3: [1, 2],
    4: [1],
  })
  expect([...found.ids]).toEqual([3, 2])
  expect(found.queuedMs).toBe(20)
})

it('tells a time both ways, and durations as people say them', () => {
  const now = Date.parse('2026-12-01T12:00:00Z')
  const table: [ms: number, said: string, past: string, to: string][] = [
    [500, '500ms', 'now', 'now'],
    [9000, '9.0s', '9s ago', 'in 9s'],
    [134_000, '2m 14s', '2m 14s ago', 'in 2m 14s'],
    [7_260_000, '2h 1m', '2h 1m ago', 'in 2h 1m'],
    [180_000_000, '2d 2h', '2d 2h ago', 'in 2d 2h'],
  ]
  for (const [ms, said, past, to] of table) {
    expect([duration(ms), ago(now - ms, now), ago(now + ms, now)]).toEqual([said, past, to])
  }
})
