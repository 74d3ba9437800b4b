import { symlinkSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { showPipelineVariables } from '../../src/core/operations/show-pipeline-variables.js'
import { noSha } from '../../src/core/pipeline.js'
import { oneJob, startGitBox } from './support/git-box.js'
import { push, send } from './support/raw.js'

it('makes a pipeline for each branch and tag that a push made or moved, before the push returns', async () => {
  await using box = await startGitBox()
  const work = await box.work()
  const named = `workflow: {name: $CI_COMMIT_TAG_MESSAGE}\n${oneJob}`
  const first = await work.commit({ '.gitlab-ci.yml': named })
  await work.git('push', '--quiet', 'origin', 'main')
  const facts = async () =>
    (await box.pipelines()).map(({ name, ref, tag, sha, beforeSha, source, userId }) => ({
      name,
      ref,
      tag,
      sha,
      beforeSha,
      source,
      userId,
    }))
  const common = { source: 'push', userId: box.admin.id }
  expect(await facts()).toEqual([{ name: null, ref: 'main', tag: 0, sha: first, beforeSha: noSha, ...common }])

  const second = await work.commit({ a: '1' })
  await work.git('tag', '-a', '-m', 'one', 'v1')
  const { stderr } = await work.try('push', 'origin', 'main', 'v1')
  expect((await facts()).slice(1)).toEqual([
    { name: null, ref: 'main', tag: 0, sha: second, beforeSha: first, ...common },
    // Of an annotated tag the commit, not the tag object.
    { name: 'one', ref: 'v1', tag: 1, sha: second, beforeSha: noSha, ...common },
  ])
  expect(stderr).toContain('remote: Pipeline #2 for branch main:')
  expect(stderr).toContain('remote:   http://box.test/acme/app/-/pipelines/3')

  await work.git('tag', '--force', '-a', '-m', 'two', 'v1', 'HEAD~1')
  await work.git('push', '--quiet', '--force', 'origin', 'v1')
  expect((await facts()).slice(3)).toEqual([
    { name: 'two', ref: 'v1', tag: 1, sha: first, beforeSha: noSha, ...common },
  ])

  await work.git('push', '--quiet', 'origin', ':v1')
  await work.git('push', '--quiet', 'origin', 'main')
  await work.git('push', '--quiet', 'origin', 'main:refs/notes/x')
  expect(await facts()).toHaveLength(4)
  expect(box.errors).toEqual([])
})

it('tells a branch and a tag of one name apart, and a tag with the full name of a branch', async () => {
  await using box = await startGitBox()
  const { work, sha } = await box.filled()
  await work.git('tag', 'refs/heads/main')
  await work.git('tag', 'main')
  const next = await work.commit({ a: '1' })
  // git itself finds `refs/heads/main` ambiguous now.
  const all = ['heads/main', 'tags/main', 'tags/refs/heads/main']
  await work.git(
    'push',
    '--quiet',
    'origin',
    ...all.map((ref) => `${ref.startsWith('heads') ? next : sha}:refs/${ref}`),
  )
  const made = (await box.pipelines()).slice(1)
  expect(made.map((one) => [one.ref, one.tag, one.sha, one.protected])).toEqual([
    ['main', 0, next, 1],
    ['main', 1, sha, 0],
    ['refs/heads/main', 1, sha, 0],
  ])
})

it('makes four pipelines of a push at most, and says so', async () => {
  await using box = await startGitBox()
  const { work } = await box.filled()
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const { stderr } = await work.try('push', 'origin', ...names.map((name) => `main:${name}`), 'main:refs/notes/n')
  expect((await box.pipelines()).slice(1).map(({ ref }) => ref)).toEqual(['a', 'b', 'c', 'd'])
  expect(stderr).toContain('remote: No pipelines for 2 more refs: a push makes 4 at most.')
})

it('makes none of a ref that git did not change, whether the client wants a report or not', async () => {
  await using box = await startGitBox()
  const { work, sha } = await box.filled()
  const next = await work.commit({ a: '1' })
  await work.git('push', '--quiet', '-o', 'ci.no_pipeline', 'origin', 'main')
  const made = async () => (await box.pipelines()).slice(1).map(({ ref }) => ref)
  // The branch is not where the client thinks it is.
  const stale = `${sha} ${next} refs/heads/main`
  const capabilities = ['report-status side-band-64k', 'report-status', 'side-band-64k', '']
  for (const [i, each] of capabilities.entries()) {
    const fine = `${noSha} ${sha} refs/heads/good-${i}`
    const { status, body } = await send(box, push([`${noSha} ${sha} refs/heads/main`, fine], each))
    expect(status).toBe(200)
    expect(body.includes('ng refs/heads/main')).toBe(each.includes('report-status'))
    expect(await made()).toHaveLength(i + 1)
  }
  expect(await made()).toEqual(['good-0', 'good-1', 'good-2', 'good-3'])
  await send(box, push([stale, `${noSha} ${sha} refs/heads/never`], 'report-status side-band-64k atomic'))
  expect(await made()).toHaveLength(4)
  expect(await work.git('ls-remote', 'origin', 'refs/heads/main')).toContain(next)
})

it('knows what a push changed', async () => {
  await using box = await startGitBox()
  const rules = (file: string) => `  script: [make]\n  rules:\n    - changes: [${file}]\n`
  const config = `docs:\n${rules('docs/*')}code:\n${rules('src/*')}always:\n  script: [make]\n`
  const { work } = await box.filled({ '.gitlab-ci.yml': config })
  await work.commit({ 'docs/a.md': '1' })
  await work.commit({ 'docs/b.md': '1' })
  await work.git('push', '--quiet', 'origin', 'main')
  const jobs = await box.core.store.read.db.selectFrom('jobs').select(['pipeline_id', 'name']).orderBy('id').execute()
  expect(jobs.filter((job) => job.pipeline_id === 2).map((job) => job.name)).toEqual(['docs', 'always'])
})

it('minds push options', async () => {
  await using box = await startGitBox()
  const work = await box.work()
  await work.commit({ '.gitlab-ci.yml': oneJob })
  await work.git('push', '--quiet', '-o', 'ci.no_pipeline', 'origin', 'main')
  expect(await box.pipelines()).toEqual([])
  await work.commit({ a: '1' })
  const options = ['-o', 'ci.variable=LEVEL=two=2', '-o', 'ci.variable=broken', '-o', 'unknown']
  const { stderr } = await work.try('push', ...options, 'origin', 'main')
  expect(stderr).toContain('remote: A push option is not understood')
  const [pipeline] = await box.pipelines()
  expect(await showPipelineVariables(box.core, pipeline!.id)).toEqual([
    expect.objectContaining({ key: 'LEVEL', value: 'two=2' }),
  ])
})

it('keeps a skipped pipeline of a commit or push that asks for it, whatever its file says', async () => {
  await using box = await startGitBox()
  const work = await box.work()
  await work.commit({ '.gitlab-ci.yml': 'build: {script: 1' }, 'Begin a file [CI-Skip]')
  const { stderr } = await work.try('push', 'origin', 'main')
  await work.commit({ '.gitlab-ci.yml': oneJob })
  await work.git('push', '--quiet', '-o', 'ci.skip', 'origin', 'main')
  const skipped = { status: 'skipped', yamlErrors: null, finishedAt: expect.any(Number) }
  expect(await box.pipelines()).toMatchObject([skipped, skipped])
  expect(await box.core.store.read.db.selectFrom('jobs').select('id').execute()).toEqual([])
  expect(stderr).toContain('remote: Pipeline #1 for branch main is skipped.')
})

it('keeps a failed pipeline for a wrong file, and shows the reason to whoever pushes', async () => {
  await using box = await startGitBox()
  const work = await box.work()
  await work.commit({ '.gitlab-ci.yml': 'build:\n  script: 1\n  "\\e[31mkey": 1\n' })
  const { code, stderr } = await work.try('push', 'origin', 'main')
  expect(code).toBe(0)
  expect(await box.pipelines()).toMatchObject([{ status: 'failed', ref: 'main' }])
  expect(stderr).toContain('Pipeline #1 for branch main has failed: ')
  expect(stderr).not.toContain('\x1b[31m')
})

it('makes none without a file, for one that is a symbolic link, where CI/CD is off', async () => {
  await using box = await startGitBox()
  const { work, project } = await box.filled({ 'real.yml': oneJob })
  symlinkSync('real.yml', path.join(work.folder, '.gitlab-ci.yml'))
  await work.commit({})
  await work.git('push', '--quiet', 'origin', 'main')
  await work.git('rm', '--quiet', '.gitlab-ci.yml')
  await work.commit({ '.gitlab-ci.yml': oneJob })
  await work.git('push', '--quiet', '-o', 'ci.no_pipeline', 'origin', 'main')
  await box.core.store.write((tx) =>
    tx.db.updateTable('projects').set({ builds_enabled: 0 }).where('id', '=', project.id).execute(),
  )
  await work.commit({ a: '1' })
  await work.git('push', '--quiet', 'origin', 'main')
  // A tag may name what is no commit.
  await work.git('push', '--quiet', 'origin', `${await work.git('rev-parse', 'HEAD^{tree}')}:refs/tags/tree`)
  expect(await box.pipelines()).toEqual([])
  expect(box.errors).toEqual([])
})

it('lets the push succeed when its pipeline cannot be made, says so and logs why', async () => {
  await using box = await startGitBox()
  const { work } = await box.filled()
  box.core.configs.load = () => Promise.reject(new Error('the disk is on fire'))
  await work.commit({ a: '1' })
  const { code, stderr } = await work.try('push', 'origin', 'main')
  expect(code).toBe(0)
  expect(stderr).toContain('remote: The push is accepted, but its pipelines could not be made yet: internal error.')
  expect(box.errors).toMatchObject([{ message: 'the pipelines of a push could not be made' }])
  // Tried again a few times, and then given up.
  for (let i = 0; i < 6; i++) await box.door.followLeft()
  expect(box.errors.at(-1)).toMatchObject({ message: 'a push made no pipeline', fields: { ref: 'refs/heads/main' } })
  expect(await box.core.store.read.db.selectFrom('pushes').select('id').execute()).toEqual([])
})

it('does not wait for pipelines for ever', async () => {
  await using box = await startGitBox()
  const { work } = await box.filled()
  const load = box.core.configs.load.bind(box.core.configs)
  let goOn = () => {}
  const slow = new Promise<void>((resolve) => {
    box.core.configs.load = async (...args) => {
      // The push waits now: its time is up.
      setImmediate(() => box.clock.advance(10_000))
      await new Promise<void>((proceed) => {
        goOn = proceed
        resolve()
      })
      return load(...args)
    }
  })
  await work.commit({ a: '1' })
  await Promise.all([work.git('push', '--quiet', 'origin', 'main'), slow])
  expect(await box.pipelines()).toHaveLength(1)
  goOn()
  await box.door.close()
  expect(await box.pipelines()).toHaveLength(2)
})
