/**
 * Who writes a status: the tables of `src/core/lifecycle` decide every change, so a status of a job, lease, pipeline or stage
 * is written in a few named files and nowhere else. Types help (`status` is read-only in all four); this reads the text.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'

/** The rows: their statements carry the old status as a condition. */
const stores = ['core/store/jobs.ts', 'core/store/leases.ts', 'core/store/pipelines.ts']
/** The decisions: each asks a table, and changes the status of an object that is then saved. */
const deciders = ['core/steps/change-status.ts', 'core/operations/doom-job.ts', 'core/steps/process-pipeline.ts']
/** `status` of other things: an HTTP answer, a case of a test report. */
const ofOthers = ['git/refusal.ts', 'core/reports/junit.ts']

const rows = '(?:jobs|leases|pipelines|stages)'

/** What is between the bracket at `open` and the one that closes it. */
function inBrackets(text: string, open: number): string {
  let depth = 0
  for (let at = open; at < text.length; at++) {
    if ('([{'.includes(text[at]!)) depth++
    if (')]}'.includes(text[at]!) && --depth === 0) return text.slice(open + 1, at)
  }
  return text.slice(open + 1)
}

/** Whether an object that is written names a status, or may: it is a variable, or takes others in. */
const mayNameStatus = (written: string): boolean =>
  !written.trimStart().startsWith('{') || /\bstatus\b|\.\.\./.test(written)

/** Every place of a text that writes a status, as it stands there. */
function writesOf(text: string): { kind: 'row' | 'object'; said: string }[] {
  const found: { kind: 'row' | 'object'; said: string }[] = []
  const note = (kind: 'row' | 'object', at: number) =>
    found.push({ kind, said: text.slice(at, at + 90).replace(/\s+/g, ' ') })
  for (const { index, 0: head } of text.matchAll(
    new RegExp(`(?:updateTable|insertInto)\\(\\s*['"\`]${rows}\\b`, 'g'),
  )) {
    const call = /\.(?:set|values)\s*\(/.exec(text.slice(index + head.length))
    if (!call || mayNameStatus(inBrackets(text, index + head.length + call.index + call[0].length - 1)))
      note('row', index)
  }
  for (const { index, 1: set } of text.matchAll(new RegExp(`\\bupdate\\s+"?${rows}"?\\s+set\\b([^\`]*)`, 'gi')))
    if (/\bstatus"?\s*=/.test(set!.split(/\bwhere\b/i)[0]!)) note('row', index)
  for (const { index } of text.matchAll(new RegExp(`\\binsert\\s+into\\s+"?${rows}\\b`, 'gi'))) note('row', index)
  for (const { index } of text.matchAll(
    /(?:(?<!\b(?:jobs|leases|pipelines|stages|deployments|newer))\.status|\[['"]status['"]\])\s*(?:\?\?=|\|\|=|&&=|=(?![=>]))/g,
  ))
    note('object', index)
  for (const { index } of text.matchAll(/\bstampsOf\(/g)) note('object', index)
  for (const { index } of text.matchAll(/\bObject\.assign\(/g)) {
    const [, ...sources] = inBrackets(text, text.indexOf('(', index)).split(/,(.*)/s)
    if (/\bstatus\s*[,:}]/.test(sources.join(','))) note('object', index)
  }
  return found
}

const src = path.resolve('src')

it('is written in the files that are named here, and nowhere else', () => {
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.ts') && !/^(gen|web|core\/store\/migrations)\//.test(file),
  )
  const writers = { row: new Set<string>(), object: new Set<string>() }
  const breaches: string[] = []
  for (const file of files) {
    for (const { kind, said } of writesOf(readFileSync(path.join(src, file), 'utf8'))) {
      writers[kind].add(file)
      const named = kind === 'row' ? stores : [...deciders, ...ofOthers, 'core/job.ts']
      if (!named.includes(file)) breaches.push(`${file}: ${said}`)
    }
  }
  expect(
    breaches,
    'a status is changed by an event: see src/core/lifecycle and src/core/steps/change-status.ts',
  ).toEqual([])
  // A name that writes nothing any more would let the next one in.
  expect([...writers.row].sort()).toEqual([...stores].sort())
  expect([...writers.object].sort()).toEqual([...deciders, ...ofOthers, 'core/job.ts'].sort())
})

it.each([
  ["tx.db.updateTable('jobs').set({ retried: 1, status: 'failed' }).where('id', '=', id)", true],
  ["tx.db.updateTable('leases').set({ ...end, ended_at: tx.now })", true],
  ["tx.db.updateTable('pipelines')\n  .set(changes)", true],
  ["db.insertInto('stages').values({ name, status: 'created' })", true],
  ["db.insertInto('jobs').values(rows)", true],
  ["sql`update jobs set retried = 1, status = 'failed' where id = 1`", true],
  ['sql`insert into leases (job_id) values (1)`', true],
  ["job.status = 'failed'", true],
  ["job['status'] ??= 'failed'", true],
  ["Object.assign(job, { status: 'failed' })", true],
  ['Object.assign(lease, { endedAt, status })', true],
  ['Object.assign(job, stampsOf(from, to, tx.now))', true],
  ["tx.db.updateTable('jobs').set({ retried: 1 }).where('status', '=', 'failed')", false],
  ["tx.db.updateTable('job_tokens').set({ status: 1 })", false],
  ["sql`update leases set starts = starts + 1 where status = 'held'`", false],
  ["job.status === 'failed'", false],
  ["sql`pipelines.status = 'running'`", false],
  ['Object.assign(job, { retried: 1 })', false],
] as const)('knows %j for a write of a status: %s', (text, is) => {
  expect(writesOf(text).length > 0).toBe(is)
})
