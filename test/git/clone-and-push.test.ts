import path from 'node:path'
import { expect, it } from 'vitest'
import { git } from './support/git.js'
import { startGitBox } from './support/git-box.js'

it('pushes, and clones what was pushed', async () => {
  await using box = await startGitBox()
  const { sha } = await box.filled({ 'a.txt': 'hello\n', 'dir/b.txt': 'world\n' })
  await git(box.folder, 'clone', '--quiet', box.url('acme/app'), 'copy')
  expect(await git(path.join(box.folder, 'copy'), 'rev-parse', 'HEAD')).toBe(sha)
  expect(await git(path.join(box.folder, 'copy'), 'ls-files')).toBe('a.txt\ndir/b.txt')
  expect(box.errors).toEqual([])
})
