import { mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Harness } from './support/harness.js'

let harness: Harness
let folder: string
beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-caches-'))
  harness = await Harness.start('websocket')
  await harness.runner({ cacheDir: folder })
})
afterAll(async () => {
  await harness[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const cache = (key: string, more: object = {}) => ({
  key,
  untracked: false,
  policy: 'pull-push',
  paths: ['vendor'],
  when: 'on_success',
  fallback_keys: [],
  ...more,
})

/** Runs a job to its end in an empty folder. */
async function run(script: string[], caches: object[], more: { variables?: Record<string, string> } = {}) {
  const job = harness.box.add({
    script,
    variables: { GIT_STRATEGY: 'empty', ...more.variables },
    extra: { cache: caches },
  })
  return { report: await job.finished(), text: job.text }
}
const fill = (text: string) => [
  'mkdir -p vendor/deep',
  `echo ${text} > vendor/deep/file`,
  'ln -s deep/file vendor/link',
]
const show = ['cat vendor/deep/file vendor/link || echo nothing there']

test('restores before the scripts what an earlier job has saved, by the first key that has something', async () => {
  const first = await run(fill('one'), [cache('$WHO-gems')], { variables: { WHO: 'ada' } })
  expect(first.report, first.text).toMatchObject({ state: 'success' })
  expect(first.text).toContain('No cache is kept under ada-gems')
  expect(first.text).toContain('Creating cache ada-gems...')
  const second = await run(show, [cache('other', { fallback_keys: ['none', 'ada-$WHAT'], policy: 'pull' })], {
    variables: { WHAT: 'gems', CACHE_FALLBACK_KEY: 'unused' },
  })
  expect(second.text).toContain('one\none\n')
  expect(second.text).toContain('Not uploading cache other due to policy')
  expect(second.text).not.toContain('Checking cache for unused')
  const last = await run(show, [cache('another')], { variables: { CACHE_FALLBACK_KEY: 'ada-gems' } })
  expect(last.text).toContain('one\none\n')
  const reserved = await run(show, [cache('third')], { variables: { CACHE_FALLBACK_KEY: 'x-protected' } })
  expect(reserved.text).toContain('CACHE_FALLBACK_KEY x-protected not allowed to end in "-protected"')
  expect(reserved.text).toContain('nothing there')
})

test('keeps several caches apart, by policy and by how the job ended', async () => {
  const caches = [
    cache('push', { policy: 'push' }),
    cache('failure', { when: 'on_failure' }),
    cache('always', { when: 'always' }),
    cache('nothing', { paths: [] }),
  ]
  const failed = await run([...fill('two'), 'exit 3'], caches)
  expect(failed.report).toMatchObject({ state: 'failed', exitCode: 3 })
  expect(failed.text).toContain('Not downloading cache push due to policy')
  expect(failed.text).not.toContain('cache nothing')
  const after = (key: string) => run(show, [cache(key, { policy: 'pull' })])
  expect((await after('push')).text).toContain('nothing there')
  expect((await after('failure')).text).toContain('two\n')
  expect((await after('always')).text).toContain('two\n')
})

test('goes on without a cache that cannot be had, and fails for a policy that is none', async () => {
  const missing = await run(['true'], [cache('empty', { paths: ['none', '/etc/passwd'] })])
  expect(missing.report).toMatchObject({ state: 'success' })
  expect(missing.text).toContain('WARNING: No files to cache')
  const wrong = await run(['true'], [cache('x', { policy: '$POLICY' })], { variables: { POLICY: 'sometimes' } })
  expect(wrong.report).toMatchObject({ state: 'failed', failureReason: 'runner_configuration_error' })
  expect(wrong.text).toContain('unknown cache policy sometimes')
  const empty = await run(['true'], [cache('x', { policy: '$POLICY' })])
  expect(empty.report).toMatchObject({ state: 'success' })
})

test('forgets, in a folder of its own, what was not used for two weeks', async () => {
  await run(fill('three'), [cache('old')])
  const before = readdirSync(folder)
  const ago = new Date(Date.now() - 15 * 24 * 3_600_000)
  for (const name of before) utimesSync(path.join(folder, name), ago, ago)
  await run(show, [cache('old', { policy: 'pull' })])
  await run(fill('four'), [cache('new')])
  expect(readdirSync(folder)).toHaveLength(2)
  expect(readdirSync(folder).every((name) => /^[0-9a-f]{64}[.]zip$/.test(name))).toBe(true)
})
