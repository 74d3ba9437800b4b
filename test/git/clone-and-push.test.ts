import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { cancelPipeline } from '../../src/core/operations/cancel-pipeline.js'
import { findProjectByPath } from '../../src/core/store/projects.js'
import { git, tryGit, Work } from './support/git.js'
import { type GitBox, oneJob, startGitBox } from './support/git-box.js'
import { bulk } from './support/raw.js'

const refsOf = (box: GitBox, id: number) =>
  git(box.folder, `--git-dir=${box.repositories.pathOf(id)}`, 'for-each-ref', '--format=%(refname)')

it('clones what was pushed, in each version of the protocol', async () => {
  await using box = await startGitBox()
  const { sha } = await box.filled({ 'a.txt': 'hello\n', 'dir/b.txt': bulk(3_000_000) })
  for (const version of ['0', '1', '2', '2']) {
    const copy = await Work.init(box.folder, `copy-${Math.random()}`)
    await copy.git('-c', `protocol.version=${version}`, 'fetch', '--quiet', box.url('acme/app'), 'main')
    expect(await copy.git('rev-parse', 'FETCH_HEAD')).toBe(sha)
    await copy.git('checkout', '--quiet', 'FETCH_HEAD')
    expect(await copy.git('ls-files')).toBe('a.txt\ndir/b.txt')
  }
  expect(box.errors).toEqual([])
})

it('sends an address without .git on, for a fetch and for a push', async () => {
  await using box = await startGitBox()
  const { sha, work } = await box.filled({ a: '1' })
  const address = box.url('acme/app').replace(/\.git$/, '')
  await git(box.folder, 'clone', '--quiet', address, 'bare-address')
  expect(await new Work(path.join(box.folder, 'bare-address')).git('rev-parse', 'HEAD')).toBe(sha)
  const next = await work.commit({ a: '2' })
  await work.git('push', '--quiet', address, 'main')
  expect(await git(box.folder, 'ls-remote', address, 'refs/heads/main')).toBe(`${next}\trefs/heads/main`)
})

it('fetches only what is new, from a repository with many refs, whose requests git packs with gzip', async () => {
  await using box = await startGitBox()
  const { work } = await box.filled({ a: '1' })
  for (let i = 0; i < 25; i++)
    await work.git('tag', `v${i}`, await work.git('commit-tree', '-m', String(i), 'HEAD^{tree}'))
  await work.git('push', '--quiet', 'origin', '--tags')
  await git(box.folder, 'clone', '--quiet', box.url('acme/app'), 'copy')
  const copy = new Work(path.join(box.folder, 'copy'))
  const next = await work.commit({ a: '2' })
  await work.git('push', '--quiet', 'origin', 'main')
  await copy.git('pull', '--quiet')
  expect(await copy.git('rev-parse', 'HEAD')).toBe(next)
  expect((await copy.git('tag')).split('\n')).toHaveLength(25)
  const partial = await tryGit(
    box.folder,
    'clone',
    '--filter=blob:none',
    '--no-checkout',
    box.url('acme/app'),
    'partial',
  )
  expect(partial.stderr).not.toContain('filtering not recognized')
})

it('gives a job its sources by its token: shallow, by the ref of its pipeline, until the job has ended', async () => {
  await using box = await startGitBox()
  const { project, work } = await box.filled()
  const sha = await work.commit({ 'src/main.c': 'int main;\n' })
  await work.git('push', '--quiet', '-o', 'ci.no_pipeline', 'origin', 'main')
  const { token, payload } = await box.lease()
  const [first] = await box.pipelines()
  expect(payload.git_info.refspecs).toContain(`+refs/pipelines/${first!.id}:refs/pipelines/${first!.id}`)
  const remote = box.url('acme/app', token)
  const copy = await Work.init(box.folder, 'build')
  await copy.git('fetch', '--quiet', '--prune', '--depth', '1', remote, ...payload.git_info.refspecs)
  await copy.git('checkout', '-f', '-q', payload.git_info.sha)
  expect(await copy.git('rev-parse', 'HEAD', 'refs/pipelines/1', 'origin/main')).toBe(
    `${first!.sha}\n${first!.sha}\n${sha}`,
  )
  expect(existsSync(path.join(copy.folder, '.git/shallow'))).toBe(true)
  expect((await copy.try('push', remote, 'HEAD:refs/heads/mine')).stderr).toContain('403')

  // The branch moves away from the commit for good: the pipeline still has it.
  await work.git('commit', '--quiet', '--amend', '-m', 'Other', '--date', '2026-01-02T00:00:00Z')
  await work.git(
    'push',
    '--quiet',
    '--force',
    box.repositories.pathOf(project.id),
    `${await work.commit({ other: '1' })}:main`,
  )
  const late = await Work.init(box.folder, 'late')
  await late.git('fetch', '--quiet', remote, ...payload.git_info.refspecs)
  expect(await late.git('cat-file', '-t', first!.sha)).toBe('commit')

  expect(await refsOf(box, project.id)).toContain('refs/pipelines/1')
  await cancelPipeline(box.core, { pipelineId: first!.id })
  await box.repositories.pinsSettled(project.id)
  expect(await refsOf(box, project.id)).not.toContain('refs/pipelines/1')
  expect((await late.try('fetch', remote)).stderr).toContain('403')
})

it('makes the project with the first push to a free path, and takes its first branch for the default', async () => {
  await using box = await startGitBox()
  const work = await box.work('new/group/app')
  await work.commit({ '.gitlab-ci.yml': oneJob })
  await work.git('push', '--quiet', 'origin', 'main:master', 'main:other')
  const project = await findProjectByPath(box.core.store.read, 'new/group/app')
  expect(project).toMatchObject({ defaultBranch: 'master', visibility: 'private' })
  await git(box.folder, 'clone', '--quiet', box.url('new/group/app'), 'copy')
  expect(await git(path.join(box.folder, 'copy'), 'branch', '--show-current')).toBe('master')
  // Later ones change nothing.
  await work.git('push', '--quiet', 'origin', ':other', 'main:third')
  expect((await findProjectByPath(box.core.store.read, 'new/group/app'))?.defaultBranch).toBe('master')
})

it('clones an empty project', async () => {
  await using box = await startGitBox()
  await box.project()
  const { code, stderr } = await tryGit(box.folder, 'clone', box.url('acme/app'), 'copy')
  expect([code, stderr]).toEqual([0, expect.stringContaining('empty repository')])
})

it('makes the repository of a project that lost it before it was used', async () => {
  await using box = await startGitBox()
  const project = await box.project()
  await box.repositories.remove(project.id)
  const work = await box.work()
  await work.commit({ a: '1' })
  await work.git('push', '--quiet', 'origin', 'main')
  expect(await refsOf(box, project.id)).toBe('refs/heads/main')
})

it('keeps refs that are not for users from them, and takes the others of the same push', async () => {
  await using box = await startGitBox()
  const { project, work } = await box.filled({ a: '1' })
  const { code, stderr } = await work.try('push', 'origin', 'main:refs/pipelines/77', 'main:fine', 'main:refs/notes/x')
  expect([code, stderr]).toEqual([1, expect.stringContaining('deny updating a hidden ref')])
  expect(await refsOf(box, project.id)).toBe('refs/heads/fine\nrefs/heads/main\nrefs/notes/x')
})

it('refuses broken objects', async () => {
  await using box = await startGitBox()
  const { project, work } = await box.filled({ a: '1' })
  const tree = await work.git('rev-parse', 'HEAD^{tree}')
  const file = path.join(box.folder, 'commit')
  writeFileSync(file, `tree ${tree}\nauthor nobody\ncommitter nobody\n\nbroken\n`)
  const broken = await work.git('hash-object', '-t', 'commit', '-w', '--literally', file)
  const { code, stderr } = await work.try('push', 'origin', `${broken}:refs/heads/broken`)
  expect([code, stderr]).toEqual([1, expect.stringContaining('unpacker error')])
  expect(await refsOf(box, project.id)).toBe('refs/heads/main')
  expect(await box.pipelines()).toEqual([])
})

it('never runs a hook', async () => {
  await using box = await startGitBox()
  const { project, work } = await box.filled({ a: '1' })
  const hooks = path.join(box.repositories.pathOf(project.id), 'hooks')
  const marker = path.join(box.folder, 'marker')
  mkdirSync(hooks)
  for (const name of ['pre-receive', 'update', 'post-receive', 'post-update', 'reference-transaction']) {
    writeFileSync(path.join(hooks, name), `#!/bin/sh\necho ${name} >> ${marker}\n`)
    chmodSync(path.join(hooks, name), 0o755)
  }
  const sha = await work.commit({ a: '2' })
  await work.git('push', '--quiet', 'origin', 'main')
  expect(readFileSync(path.join(box.repositories.pathOf(project.id), 'refs/heads/main'), 'utf8')).toBe(`${sha}\n`)
  expect(existsSync(marker)).toBe(false)
})

it('names the default branch of the project as HEAD, whatever it was before', async () => {
  await using box = await startGitBox()
  const { project, work } = await box.filled({ a: '1' })
  await work.git('push', '--quiet', 'origin', 'main:trunk')
  await box.core.store.write((tx) =>
    tx.db.updateTable('projects').set({ default_branch: 'trunk' }).where('id', '=', project.id).execute(),
  )
  expect(await work.git('ls-remote', '--symref', 'origin', 'HEAD')).toContain('ref: refs/heads/trunk\tHEAD')
})
