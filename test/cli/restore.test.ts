/** Backups that are broken, or made to do harm, are refused whole: nothing of them is left behind. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeEach, expect, it } from 'vitest'
import yazl from 'yazl'
import { restoreBackup } from '../../src/restore.js'

const folder = mkdtempSync(path.join(tmpdir(), 'signalbox-restore-'))
afterAll(() => rmSync(folder, { recursive: true }))

const manifest = { format: 1, created_at: '2026-01-02T03:04:05.000Z', database: 'sqlite' }
const whole = {
  'manifest.json': JSON.stringify(manifest),
  key: 'the key',
  'signalbox.db': 'rows',
  'traces/0/1.log': 'hi',
}
const file = path.join(folder, 'backup.zip')
const target = path.join(folder, 'data')

async function zipOf(entries: Readonly<Record<string, string>>): Promise<Buffer> {
  const zip = new yazl.ZipFile()
  for (const [name, text] of Object.entries(entries)) zip.addBuffer(Buffer.from(text), name, { compress: false })
  zip.end()
  return buffer(zip.outputStream)
}

/** As the library would not write it: a name is exchanged for one of the same length. */
const renamed = (zip: Buffer, from: string, to: string) =>
  Buffer.from(zip.toString('latin1').replaceAll(from, to), 'latin1')

beforeEach(() => rmSync(target, { recursive: true, force: true }))

it('unpacks a whole backup', async () => {
  writeFileSync(file, await zipOf(whole))
  await expect(restoreBackup(file, target)).resolves.toEqual({
    createdAt: new Date(manifest.created_at),
    database: 'sqlite',
  })
  expect(readdirSync(target).sort()).toEqual(['key', 'signalbox.db', 'traces'])
  expect(readFileSync(path.join(target, 'traces/0/1.log'), 'utf8')).toBe('hi')
})

const { key: _, ...keyless } = whole
const withManifest = (said: object | null) => zipOf({ ...whole, 'manifest.json': JSON.stringify(said) })

it.each<[what: string, zip: () => Promise<Buffer>, error: RegExp]>([
  ['is cut off', async () => (await zipOf(whole)).subarray(0, 200), /truncated/],
  ['has a key with another checksum', async () => renamed(await zipOf(whole), 'the key', 'the kez'), /key is damaged/],
  [
    'has a log with another checksum',
    async () => renamed(await zipOf({ ...whole, node: 'nn1' }), 'nn1', 'nn2'),
    /damaged/,
  ],
  ['leads out of the folder', async () => renamed(await zipOf(whole), 'traces/0', '../../aa'), /relative path/],
  ['has an absolute path', async () => renamed(await zipOf(whole), 'traces/0', '/tmp/abc'), /absolute path/],
  ['has a file that no backup has', () => zipOf({ ...whole, 'lock.db': 'x' }), /no backup has a file "lock.db"/],
  ['has a file twice', async () => renamed(await zipOf({ ...whole, kez: 'x' }), 'kez', 'key'), /EEXIST/],
  ['lacks the key', () => zipOf(keyless), /key is not in it/],
  ['lacks a manifest', () => zipOf({ key: 'x' }), /not a backup/],
  ['has a manifest that is null', () => withManifest(null), /later version|not a backup/],
  ['has no time', () => withManifest({ ...manifest, created_at: '\u001b[31mred' }), /manifest.json is not right/],
  ['is of a later version', () => withManifest({ ...manifest, format: 2 }), /later version/],
])('refuses a backup that %s, and leaves nothing behind', async (_what, zip, error) => {
  writeFileSync(file, await zip())
  await expect(restoreBackup(file, target)).rejects.toThrow(error)
  expect(readdirSync(folder)).toEqual(['backup.zip'])
})
