import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { SignalboxError } from '../../src/core/errors.js'
import type { Log } from '../../src/core/log.js'
import { GitRepositories, type GitRepositoriesOptions } from '../../src/git/repositories.js'
import { ManualClock } from '../support/manual-clock.js'
import { git, temporaryFolder, Work } from './support/git.js'

class Shelf implements AsyncDisposable {
  readonly temp = temporaryFolder()
  readonly clock = new ManualClock()
  readonly logged: string[] = []
  readonly repositories: GitRepositories
  readonly project = { id: 7, defaultBranch: 'main' }

  constructor(options: Partial<GitRepositoriesOptions> = {}) {
    const note = (_: object, message: string) => void this.logged.push(message)
    const log: Log = { debug: note, info: note, warn: note, error: note }
    const folder = path.join(this.temp.path, 'shelf')
    this.repositories = new GitRepositories({ folder, clock: this.clock, log, ...options })
  }

  /** A repository with what the user's copy holds, pushed past the door. */
  async push(work: Work, ...refs: string[]): Promise<void> {
    await this.repositories.create(this.project)
    await work.git('push', '--quiet', '--force', this.repositories.pathOf(this.project.id), ...refs)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.repositories.close()
    this.temp[Symbol.dispose]()
  }
}

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'nothing',
    (error) => (error instanceof SignalboxError ? error.code : error),
  )

it('makes a bare repository with our settings, once, however often it is asked', async () => {
  await using shelf = new Shelf()
  const { repositories } = shelf
  const project = { id: 7, defaultBranch: 'trunk' }
  await Promise.all([repositories.create(project), repositories.create(project), repositories.create(project)])
  const place = repositories.pathOf(7)
  expect(readFileSync(path.join(place, 'HEAD'), 'utf8')).toBe('ref: refs/heads/trunk\n')
  const setting = (key: string) => git(shelf.temp.path, `--git-dir=${place}`, 'config', '--get-all', key)
  expect(await setting('core.bare')).toBe('true')
  expect(await setting('gc.auto')).toBe('0')
  expect(await setting('receive.fsck.badTimezone')).toBe('ignore')
  expect(await setting('receive.hideRefs')).toBe('refs\n!refs/heads\n!refs/tags\n!refs/notes')
  expect(existsSync(path.join(place, 'hooks'))).toBe(false)
  expect(readdirSync(repositories.folder).sort()).toEqual(['.home', '7.git'])
})

it('says that a repository cannot be made now, and leaves nothing half made', async () => {
  await using shelf = new Shelf()
  const { repositories } = shelf
  const project = { id: 8, defaultBranch: 'main' }
  writeFileSync(repositories.pathOf(8), 'in the way')
  expect(await codeOf(repositories.create(project))).toBe('unavailable')
  expect(readdirSync(repositories.folder).sort()).toEqual(['.home', '8.git'])
  rmSync(repositories.pathOf(8))
  await repositories.create(project)
  expect(repositories.exists(8)).toBe(true)
})

it('resolves branches, tags and commits by their type', async () => {
  await using shelf = new Shelf()
  const { repositories, project } = shelf
  const work = await Work.init(shelf.temp.path)
  const first = await work.commit({ a: '1' })
  await work.git('tag', 'light')
  await work.git('tag', '-a', '-m', 'heavy', 'heavy')
  await work.git('tag', '-a', '-m', 'heavier', 'heavier', 'heavy')
  await work.git('tag', 'of-a-tree', 'HEAD^{tree}')
  await work.git('tag', 'both')
  await work.git('tag', 'refs/heads/main')
  await work.git('branch', 'feature/deep')
  const second = await work.commit({ a: '2' })
  await work.git('branch', 'both')
  // Every git refuses to make such a branch by this command, and takes one by the next.
  await work.git('update-ref', `refs/heads/${first}`, second)
  const long = 'a'.repeat(64)
  await work.git('branch', long)
  await shelf.push(work, '--all')
  await shelf.push(work, '--tags')
  const table: [ref: string, outcome: unknown][] = [
    ['main', { name: 'main', tag: false, sha: second }],
    ['refs/heads/main', { name: 'main', tag: false, sha: second }],
    ['HEAD', { name: 'main', tag: false, sha: second }],
    ['feature/deep', { name: 'feature/deep', tag: false, sha: first }],
    ['light', { name: 'light', tag: true, sha: first }],
    ['heavy', { name: 'heavy', tag: true, sha: first }],
    ['refs/tags/heavier', { name: 'heavier', tag: true, sha: first }],
    ['refs/tags/refs/heads/main', { name: 'refs/heads/main', tag: true, sha: first }],
    ['refs/heads/both', { name: 'both', tag: false, sha: second }],
    ['refs/tags/both', { name: 'both', tag: true, sha: first }],
    [first, { name: first, tag: false, sha: first }],
    [first.toUpperCase(), { name: first, tag: false, sha: first }],
    [`refs/heads/${first}`, { name: first, tag: false, sha: second }],
    [long, { name: long, tag: false, sha: second }],
    ['of-a-tree', undefined],
    ['refs/tags/main', undefined],
    ['refs/heads/light', undefined],
    ['refs/pipelines/1', undefined],
    ['feature', undefined],
    ['main/deeper', undefined],
    ['0'.repeat(40), undefined],
    [first.slice(0, 10), undefined],
    ['../../../etc/passwd', undefined],
    ['-x', undefined],
    ['main\nx', undefined],
    ['', undefined],
  ]
  const check = async () => {
    for (const [ref, outcome] of table) expect([ref, await repositories.resolve(project, ref)]).toEqual([ref, outcome])
    expect(await codeOf(repositories.resolve(project, 'both'))).toBe('invalid')
  }
  await check()
  await git(shelf.temp.path, `--git-dir=${repositories.pathOf(7)}`, 'pack-refs', '--all')
  await check()
})

it('sees a ref move, whether it is a file or packed', async () => {
  await using shelf = new Shelf()
  const { repositories, project } = shelf
  const work = await Work.init(shelf.temp.path)
  const pack = () => git(shelf.temp.path, `--git-dir=${repositories.pathOf(7)}`, 'pack-refs', '--all')
  for (const packed of [true, false, true, true, false]) {
    const sha = await work.commit({ a: String(Math.random()) })
    await shelf.push(work, 'main')
    if (packed) await pack()
    expect(await repositories.resolve(project, 'main')).toEqual({ name: 'main', tag: false, sha })
  }
})

it('says that there is no repository', async () => {
  await using shelf = new Shelf()
  const { repositories, project } = shelf
  const sha = 'a'.repeat(40)
  for (const work of [
    () => repositories.resolve(project, 'main'),
    () => repositories.resolve(project, sha),
    () => repositories.commit(project, sha),
    () => repositories.readFile(project, sha, 'a'),
    () => repositories.listFiles(project, sha),
    () => repositories.changedPaths(project, sha, sha),
  ]) {
    expect(await codeOf(work())).toBe('not_found')
  }
  await repositories.create(project)
  expect(await repositories.resolve(project, 'main')).toBeUndefined()
  expect(await codeOf(repositories.commit(project, sha))).toBe('not_found')
  expect(await codeOf(repositories.commit(project, '--help'))).toBe('not_found')
})

it('reads a commit as it was made', async () => {
  await using shelf = new Shelf()
  const { repositories, project } = shelf
  const work = await Work.init(shelf.temp.path)
  const sha = await work.commit({ a: '1' }, 'Say häh\n\nand why')
  const message = path.join(shelf.temp.path, 'message')
  writeFileSync(message, Buffer.from('Gr\xfc\xdfe\n', 'latin1'))
  await work.git('-c', 'i18n.commitEncoding=ISO-8859-1', 'commit', '--quiet', '--allow-empty', '-F', message)
  await shelf.push(work, 'main')
  expect(await repositories.commit(project, sha)).toEqual({
    sha,
    author: 'Ada <ada@example.com>',
    authorName: 'Ada',
    authorEmail: 'ada@example.com',
    // The committer's, in its zone.
    timestamp: '2026-01-01T03:00:00+02:00',
    message: 'Say häh\n\nand why\n',
  })
  expect((await repositories.commit(project, await work.git('rev-parse', 'main'))).message).toBe('Grüße\n')
})

it('reads regular files and nothing else', async () => {
  await using shelf = new Shelf({ fileLimitBytes: 1000 })
  const { repositories, project } = shelf
  const work = await Work.init(shelf.temp.path)
  work.write('ci/deep/job.yml', 'a: 1\n')
  work.write('empty', '')
  work.write('large', 'x'.repeat(1001))
  symlinkSync('ci/deep/job.yml', path.join(work.folder, '.gitlab-ci.yml'))
  symlinkSync('ci', path.join(work.folder, 'linked'))
  const sha = await work.commit({ 'grüße.txt': 'häh\n', 'script.sh': '#!/bin/sh\n' })
  await work.git('update-index', '--chmod=+x', 'script.sh')
  await work.git('update-index', '--add', '--cacheinfo', `160000,${sha},module`)
  await work.git('commit', '--quiet', '-m', 'Add a submodule')
  const head = work.head()
  await shelf.push(work, 'main')
  const table: [file: string, text: string | undefined][] = [
    ['ci/deep/job.yml', 'a: 1\n'],
    ['empty', ''],
    ['grüße.txt', 'häh\n'],
    ['script.sh', '#!/bin/sh\n'],
    ['.gitlab-ci.yml', undefined],
    ['linked/deep/job.yml', undefined],
    ['ci', undefined],
    ['ci/', undefined],
    ['/ci/deep/job.yml', undefined],
    ['ci//deep/job.yml', undefined],
    ['ci/../ci/deep/job.yml', undefined],
    ['module', undefined],
    ['module/x', undefined],
    ['missing', undefined],
    ['empty/x', undefined],
    ['', undefined],
    ['a\0b', undefined],
    ['a\nb', undefined],
  ]
  // Twice: from git, then from memory.
  for (const [file, text] of [...table, ...table]) {
    expect([file, await repositories.readFile(project, head, file)]).toEqual([file, text])
  }
  // And what waits behind a file that is too large is answered all the same.
  const answers = await Promise.all([
    codeOf(repositories.readFile(project, head, 'large')),
    codeOf(repositories.readFile(project, head, 'large')),
    repositories.readFile(project, sha, 'grüße.txt'),
    repositories.readFile(project, sha, 'ci/deep/job.yml'),
  ])
  expect(answers).toEqual(['too_large', 'too_large', 'häh\n', 'a: 1\n'])
})

it('lists the files of a commit, and those that differ between two', async () => {
  await using shelf = new Shelf()
  const { repositories, project } = shelf
  const work = await Work.init(shelf.temp.path)
  const first = await work.commit({ 'a.txt': 'the same text in two places\n', 'dir/b': '1', 'dir/c': '1' })
  await work.git('mv', 'a.txt', 'renamed.txt')
  const second = await work.commit({ 'dir/b': '2', 'neu ü': '1' })
  await shelf.push(work, 'main')
  for (let i = 0; i < 2; i++) {
    expect(await repositories.listFiles(project, first)).toEqual(['a.txt', 'dir/b', 'dir/c'])
    expect(await repositories.changedPaths(project, first, second)).toEqual(['a.txt', 'dir/b', 'neu ü', 'renamed.txt'])
  }
  expect(await repositories.changedPaths(project, first, first)).toEqual([])
  const blob = (await work.git('rev-parse', `${second}:dir/b`)).trim()
  expect(await repositories.listBlobs(project, second)).toContainEqual({ path: 'dir/b', id: blob })
  expect((await repositories.listBlobs(project, second)).map((one) => one.path)).toContain('neu ü')
  const last = (file: string, sha = second) => repositories.lastCommit(project, sha, file)
  expect(await Promise.all([last('dir/b'), last('dir/c'), last('dir/*'), last('dir/b', first)])).toEqual([
    second,
    first,
    second,
    first,
  ])
  expect(await Promise.all([last('none'), last(''), last('a\0b'), last(':(exclude)dir')])).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ])
  expect(await codeOf(repositories.changedPaths(project, 'f'.repeat(40), first))).toBe('not_found')
})

it('tells what a commit changed since it parted from another, and which tags there are', async () => {
  await using shelf = new Shelf()
  const { repositories, project } = shelf
  const work = await Work.init(shelf.temp.path)
  const base = await work.commit({ a: '1' })
  await work.git('checkout', '--quiet', '-b', 'feature')
  const feature = await work.commit({ b: '1' })
  await work.git('checkout', '--quiet', 'main')
  const main = await work.commit({ c: '1' })
  await work.git('checkout', '--quiet', '--orphan', 'apart')
  const apart = await work.commit({ d: '1' })
  await work.git('tag', 'v1', base)
  await work.git('tag', '-a', '-m', 'two', 'deep/v2', main)
  await shelf.push(work, 'main', 'feature', 'apart', 'v1', 'deep/v2')
  for (let i = 0; i < 2; i++) {
    expect(await repositories.changedSince(project, main, feature)).toEqual(['b'])
    expect(await repositories.changedSince(project, feature, main)).toEqual(['c'])
    expect(await repositories.changedSince(project, feature, base)).toEqual([])
    // Two that have nothing in common: all that differs.
    expect(await repositories.changedSince(project, feature, apart)).toEqual(['b', 'c', 'd'])
  }
  expect(await codeOf(repositories.changedSince(project, 'f'.repeat(40), base))).toBe('not_found')
  expect(await codeOf(repositories.changedSince(project, '--all', base))).toBe('not_found')
  expect(await repositories.listTags(project)).toEqual(['deep/v2', 'v1'])
})

it('does not let a replacement ref change what a commit is', async () => {
  await using shelf = new Shelf()
  const { repositories, project } = shelf
  const work = await Work.init(shelf.temp.path)
  const first = await work.commit({ a: 'true\n' })
  const second = await work.commit({ a: 'false\n' })
  await shelf.push(work, 'main')
  // By hand: a push of such a ref is refused.
  await git(shelf.temp.path, `--git-dir=${repositories.pathOf(7)}`, 'update-ref', `refs/replace/${first}`, second)
  expect(await repositories.readFile(project, first, 'a')).toBe('true\n')
})

it('pins and unpins in the order it was told to, packed or not', async () => {
  await using shelf = new Shelf()
  const { repositories, project } = shelf
  const work = await Work.init(shelf.temp.path)
  const first = await work.commit({ a: '1' })
  const second = await work.commit({ a: '2' })
  await shelf.push(work, 'main')
  const inGit = (...args: string[]) => git(shelf.temp.path, `--git-dir=${repositories.pathOf(7)}`, ...args)
  const pins = () => inGit('for-each-ref', '--format=%(refname) %(objectname)', 'refs/pipelines')
  for (let id = 1; id <= 40; id++) repositories.pin(project, id, first)
  for (let id = 1; id <= 40; id++) if (id !== 3 && id !== 4) repositories.unpin(project, id)
  repositories.pin(project, 4, second)
  repositories.unpin(project, 5)
  await repositories.pinsSettled(7)
  expect(await pins()).toBe(`refs/pipelines/3 ${first}\nrefs/pipelines/4 ${second}`)
  await inGit('pack-refs', '--all')
  repositories.unpin(project, 3)
  await repositories.pinsSettled(7)
  expect(await pins()).toBe(`refs/pipelines/4 ${second}`)
  repositories.unpin(project, 4)
  await repositories.pinsSettled(7)
  // git has removed the empty folder with the last packed ref.
  repositories.pin(project, 6, second)
  await repositories.pinsSettled(7)
  expect(await pins()).toBe(`refs/pipelines/6 ${second}`)
  expect(shelf.logged).toEqual([])
})

it('writes no ref for a new pipeline that is over before anybody fetches it, and one a second later for others', async () => {
  await using shelf = new Shelf()
  const { repositories, project, clock } = shelf
  const work = await Work.init(shelf.temp.path)
  const sha = await work.commit({ a: '1' })
  await shelf.push(work, 'main')
  const written = (id: number) => existsSync(path.join(repositories.pathOf(7), 'refs', 'pipelines', String(id)))
  // No repository of this name: whatever was tried with it would be logged.
  const nowhere = { id: 8, defaultBranch: 'main' }
  repositories.pin(nowhere, 1, sha, true)
  repositories.unpin(nowhere, 1)
  repositories.pin(project, 2, sha, true)
  clock.advance(1000)
  await repositories.close()
  expect(written(2)).toBe(true)
  expect(clock.timers).toBe(0)
  // One that a node pins again when it starts may have its ref already.
  repositories.pin(project, 2, sha)
  repositories.unpin(project, 2)
  await repositories.pinsSettled(7)
  expect(written(2)).toBe(false)
  // Undone and wanted once more within the same second.
  repositories.pin(project, 3, sha, true)
  repositories.unpin(project, 3)
  repositories.pin(project, 3, sha)
  await repositories.pinsSettled(7)
  expect(written(3)).toBe(true)
  expect(shelf.logged).toEqual([])
})

it('logs a pin that cannot be written, and goes on', async () => {
  await using shelf = new Shelf()
  const { repositories, project } = shelf
  repositories.pin(project, 1, 'a'.repeat(40))
  await repositories.pinsSettled(7)
  expect(shelf.logged).toEqual(['the commit of a pipeline was not pinned'])
})

it('keeps few processes for many repositories, and none for those that nobody asks for', async () => {
  await using shelf = new Shelf({ readers: 2, readerIdleMs: 1000 })
  const { repositories } = shelf
  const work = await Work.init(shelf.temp.path)
  const sha = await work.commit({ a: '1' })
  const projects = [1, 2, 3, 4, 5, 6].map((id) => ({ id, defaultBranch: 'main' }))
  for (const project of projects) {
    await repositories.create(project)
    await work.git('push', '--quiet', repositories.pathOf(project.id), 'main')
  }
  const texts = await Promise.all(projects.map((project) => repositories.readFile(project, sha, 'a')))
  expect(texts).toEqual(['1', '1', '1', '1', '1', '1'])
  expect(repositories.processes).toBe(2)
  shelf.clock.advance(2000)
  expect(repositories.processes).toBe(0)
  expect(shelf.clock.timers).toBe(0)
})

it('deletes a repository with everything that belongs to it', async () => {
  await using shelf = new Shelf()
  const { repositories, project } = shelf
  const work = await Work.init(shelf.temp.path)
  const sha = await work.commit({ a: '1' })
  await shelf.push(work, 'main')
  await repositories.readFile(project, sha, 'a')
  repositories.pin(project, 1, sha)
  await repositories.remove(7)
  expect(existsSync(repositories.pathOf(7))).toBe(false)
  expect(await codeOf(repositories.resolve(project, 'main'))).toBe('not_found')
})
