/** `signalbox run` in clones of all sorts: partial, shallow, with submodules, bare. */
import { renameSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { relativeUrl } from '../../src/cli/submodules.js'
import { Folder } from '../support/run-folder.js'

/** A folder for repositories beside each other; git takes submodules from folders in it. */
class Place extends Folder {
  readonly #anyFile = ['-c', 'protocol.file.allow=always']

  at(name: string, ...args: string[]): Promise<string> {
    return this.git('-C', path.join(this.path, name), ...this.#anyFile, ...args)
  }

  /** A repository with a file for each commit, the last with the configuration. */
  async create(name: string, config: object, commits = 1): Promise<void> {
    await this.git('init', '--quiet', '--initial-branch=main', name)
    for (let i = 1; i <= commits; i++) {
      this.write({ [`${name}/file`]: `${name} ${i}\n` })
      if (i === commits) this.write({ [`${name}/.gitlab-ci.yml`]: config })
      await this.at(name, 'add', '--all')
      await this.at(name, 'commit', '--quiet', '--message', `Number ${i}`)
    }
  }

  runIn(name: string, ...args: string[]) {
    return this.run('--cwd', path.join(this.path, name), ...args)
  }
}

it('brings what a partial clone lacks, or says at once that it cannot', async () => {
  using place = new Place()
  await place.create('up', { a: { script: ['cat file', 'git show HEAD~2:file'] } }, 3)
  await place.at('up', 'config', 'uploadpack.allowFilter', 'true')
  for (const filter of ['blob:none', 'tree:0']) {
    const clone = `part-${filter[0]}`
    await place.git('clone', '--quiet', `--filter=${filter}`, `file://${place.path}/up`, clone)
    const { code, stdout } = await place.runIn(clone)
    expect(stdout).toContain('a | up 3\n')
    expect(stdout).toContain('a | up 1\n')
    expect(code).toBe(0)
  }
  renameSync(path.join(place.path, 'up'), path.join(place.path, 'gone'))
  const offline = await place.runIn('part-b')
  expect(offline.code).toBe(2)
  expect(offline.stderr).toMatch(/partial clone: \d+ objects are missing, and git cannot fetch them from origin/)
})

it('ends history where that of a shallow clone ends, and runs in a linked working tree', async () => {
  using place = new Place()
  await place.create('up', { a: { variables: { GIT_DEPTH: '0' }, script: ['git rev-list --count HEAD'] } }, 3)
  await place.git('clone', '--quiet', '--depth=2', `file://${place.path}/up`, 'shallow')
  expect(await place.runIn('shallow')).toMatchObject({ code: 0, stdout: expect.stringContaining('a | 2\n') })
  await place.at('up', 'worktree', 'add', '--quiet', '../linked')
  expect(await place.runIn('linked')).toMatchObject({ code: 0, stdout: expect.stringContaining('a | 3\n') })
})

it('takes submodules from where they are checked out, else from beside origin', async () => {
  using place = new Place()
  const config = { a: { variables: { GIT_SUBMODULE_STRATEGY: 'recursive' }, script: ['cat lib/file lib/deep/file'] } }
  await place.create('deep', {})
  await place.create('lib', {})
  await place.at('lib', 'submodule', '--quiet', 'add', '../deep', 'deep')
  await place.at('lib', 'commit', '--quiet', '--message', 'Deep')
  await place.create('super', config)
  await place.at('super', 'remote', 'add', 'origin', path.join(place.path, 'super'))
  await place.at('super', 'submodule', '--quiet', 'add', '../lib', 'lib')
  await place.at('super', 'commit', '--quiet', '--message', 'Lib')
  await place.git('clone', '--quiet', 'super', 'without')
  await place.at('super', 'submodule', '--quiet', 'update', '--init', '--recursive')
  place.write({ 'super/lib/file': 'not pushed\n' })
  await place.at('super/lib', 'commit', '--quiet', '--all', '--message', 'Not pushed')

  const here = await place.runIn('super')
  expect(here.stdout).toContain('a | not pushed\na | deep 1\n')
  expect(here.code).toBe(0)
  const there = await place.runIn('without')
  expect(there.stdout).toContain('a | lib 1\na | deep 1\n')
  expect(there.code).toBe(0)
})

it('resolves relative addresses as git does', () => {
  expect(relativeUrl('https://host/group/app.git', '../lib.git')).toBe('https://host/group/lib.git')
  expect(relativeUrl('https://host/group/app/', '../../other/./lib/')).toBe('https://host/other/./lib')
  expect(relativeUrl('git@host:group/app', '../../lib')).toBe('git@host:lib')
  expect(relativeUrl('git@host:app', '../lib')).toBe('git@host:lib')
  expect(relativeUrl('/srv/app', './lib')).toBe('/srv/app/lib')
  expect(relativeUrl('/srv/app', 'https://host/lib')).toBe('https://host/lib')
})

it('refuses a repository without a working tree, and takes the files of one with other object names', async () => {
  using place = new Place()
  await place.create('up', { a: { script: ['cat file'] } })
  await place.git('clone', '--quiet', '--bare', 'up', 'bare.git')
  expect(await place.runIn('bare.git')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('without a working tree'),
  })
  await place.git('init', '--quiet', '--object-format=sha256', 'other')
  place.write({ 'other/.gitlab-ci.yml': { a: { script: ['cat file'] } }, 'other/file': 'kept\n' })
  await place.at('other', 'add', '--all')
  await place.at('other', 'commit', '--quiet', '--message', 'First')
  const other = await place.runIn('other')
  expect(other).toMatchObject({ code: 0, stdout: expect.stringContaining('a | kept\n') })
  expect(other.stderr).toContain('jobs see no history')
})
