/** Who may move the default branch by a push: https://docs.gitlab.com/user/project/repository/branches/protected/ */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Actor } from '../../src/core/authorize.js'
import { createProjectToken } from '../../src/core/operations/edit-access-token.js'
import type { Project } from '../../src/core/project.js'
import type { Work } from './support/git.js'
import { adminToken, type GitBox, startGitBox } from './support/git-box.js'

let box: GitBox
beforeAll(async () => {
  box = await startGitBox()
})
afterAll(() => box[Symbol.asyncDispose]())

async function tokenOf(project: Project, accessLevel: number): Promise<string> {
  const by: Actor = { user: box.admin, scopes: new Set() }
  const settings = { name: 'bot', scopes: ['api'], expiresAt: null }
  return (await createProjectToken(box.core, { ...settings, projectId: project.id, accessLevel, by })).token
}

const shaOf = async (work: Work, ref: string) => (await work.git('ls-remote', 'origin', ref)).split('\t')[0]

it('takes pushes to the default branch from maintainers, never by force, and nobody deletes it', async () => {
  const { project, work, sha } = await box.filled()
  const developer = box.url('acme/app', await tokenOf(project, 30))
  const maintainer = box.url('acme/app', await tokenOf(project, 40))
  const push = (url: string, ...refs: string[]) => work.try('push', url, ...refs)
  const ahead = await work.commit({ a: '1' })

  const refused = await push(developer, 'HEAD:refs/heads/main')
  expect(refused.code).toBe(1)
  expect(refused.stderr).toContain('remote: You are not allowed to push code to protected branches on this project.')
  expect(refused.stderr).toContain('! [remote rejected] HEAD -> main (pre-receive hook declined)')
  // All of the push is refused, and nothing has changed.
  expect((await push(developer, 'HEAD:refs/heads/main', 'HEAD:refs/heads/along')).code).toBe(1)
  expect((await push(developer, ':refs/heads/main')).stderr).toContain('default branch of a project cannot be deleted')
  expect(await work.git('ls-remote', 'origin', 'refs/heads/*')).toBe(`${sha}\trefs/heads/main`)

  expect((await push(developer, 'HEAD:refs/heads/topic', `${sha}:refs/tags/v1`)).code).toBe(0)
  expect((await work.try('push', '--force', developer, `${sha}:refs/heads/topic`)).code).toBe(0)
  expect((await push(developer, ':refs/heads/topic')).code).toBe(0)

  expect((await push(maintainer, 'HEAD:refs/heads/main')).code).toBe(0)
  expect(await shaOf(work, 'refs/heads/main')).toBe(ahead)
  for (const url of [developer, maintainer, box.url('acme/app', adminToken)]) {
    expect((await work.try('push', '--force', url, `${sha}:refs/heads/main`)).code).toBe(1)
    expect((await push(url, ':refs/heads/main')).code).toBe(1)
  }
  expect(await shaOf(work, 'refs/heads/main')).toBe(ahead)
  expect(box.errors).toEqual([])
})

it('lets no developer decide the default branch of an empty project', async () => {
  const project = await box.project('acme/empty')
  const work = await box.work('acme/empty', 'empty')
  await work.commit({ a: '1' })
  const url = box.url('acme/empty', await tokenOf(project, 30))
  const refused = await work.try('push', url, 'HEAD:refs/heads/mine')
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('Ask a maintainer')])
  expect((await work.try('push', box.url('acme/empty', await tokenOf(project, 40)), 'HEAD:refs/heads/mine')).code).toBe(
    0,
  )
})

it('gives code to reporters, not to guests of a private project', async () => {
  const { project, work } = await box.filled({ a: '1' }, 'acme/code')
  for (const [level, code] of [
    [10, 128],
    [15, 128],
    [20, 0],
  ] as const) {
    const { stderr, ...result } = await work.try('ls-remote', box.url('acme/code', await tokenOf(project, level)))
    expect([level, result.code, stderr.includes('403')]).toEqual([level, code, code !== 0])
  }
})

it('refuses a large push only when it has been sent', async () => {
  const { project, work } = await box.filled({ a: '1' }, 'acme/large')
  await work.commit({ big: randomBytes(3_000_000).toString('hex') })
  const refused = await work.try('push', box.url('acme/large', await tokenOf(project, 30)), 'HEAD:refs/heads/main')
  expect(refused.stderr).toContain('[remote rejected]')
})

it('takes no branch whose name says something else, and lets those that are there be deleted', async () => {
  const { work, sha } = await box.filled({ a: '1' }, 'acme/names')
  for (const name of ['HEAD', 'refs/heads/main', 'refs/x', sha, `${sha}/x`]) {
    const refused = await work.try('push', 'origin', `${sha}:refs/heads/${name}`)
    expect([name, refused.code, refused.stderr]).toEqual([
      name,
      1,
      expect.stringContaining(`cannot create a branch with the name ${name}`),
    ])
  }
  expect(await work.git('ls-remote', 'origin', 'refs/heads/*')).toBe(`${sha}\trefs/heads/main`)
  const near = ['HEADS', 'reference', `x${sha}`, 'feature/HEAD'].map((name) => `${sha}:refs/heads/${name}`)
  expect((await work.try('push', 'origin', ...near)).code).toBe(0)
})
