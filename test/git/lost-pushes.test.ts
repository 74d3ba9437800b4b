/** What a push has changed has its pipeline once, whatever fails between git and the store. */
import { expect, it } from 'vitest'
import { SignalboxError } from '../../src/core/errors.js'
import { noSha } from '../../src/core/pipeline.js'
import { acceptedOf, keepPush } from '../../src/git/push-record.js'
import { type GitBox, startGitBox } from './support/git-box.js'

const left = async (box: GitBox) => (await box.core.store.read.db.selectFrom('pushes').selectAll().execute()).length
const refs = async (box: GitBox) => (await box.pipelines()).map(({ ref, sha }) => `${ref} ${sha}`)

/** Lets the next writes that make a pipeline fail, as a database does that is away. */
function failPipelines(box: GitBox, times: number, error: Error) {
  const { store } = box.core
  const write = store.write.bind(store)
  store.write = (body) =>
    write(async (tx) => {
      const value = await body(tx)
      const made = await tx.db.selectFrom('pipelines').select('id').where('created_at', '=', tx.now).execute()
      if (made.length > 0 && times-- > 0) throw error
      return value
    })
  return () => {
    store.write = write
  }
}

it('says on stderr that pipelines could not be made yet, and makes them once', async () => {
  await using box = await startGitBox()
  const { work } = await box.filled()
  const sha = await work.commit({ a: '1' })
  await work.git('branch', 'other')
  box.clock.advance(1000)
  const mend = failPipelines(box, 1, new SignalboxError('unavailable', 'the store is not available'))
  const { code, stderr } = await work.try('push', 'origin', 'main', 'other')
  mend()
  expect(code).toBe(0)
  expect(stderr).toContain(
    'remote: The push is accepted, but its pipelines could not be made yet: the store is not available.',
  )
  expect(await refs(box)).toHaveLength(1)
  await box.door.followLeft()
  expect((await refs(box)).slice(1)).toEqual([`main ${sha}`, `other ${sha}`])
  expect((await box.pipelines())[1]!.userId).toBe(box.admin.id)
  await box.door.followLeft()
  expect(await refs(box)).toHaveLength(3)
  expect(await left(box)).toBe(0)
})

it('refuses a push that it could not keep, and moves nothing', async () => {
  await using box = await startGitBox()
  const { work, project, sha } = await box.filled()
  await work.commit({ a: '1' })
  const { store } = box.core
  const write = store.write
  store.write = () => Promise.reject(new SignalboxError('unavailable', 'the store is not available'))
  const { code, stderr } = await work.try('push', 'origin', 'main')
  store.write = write
  expect(code).not.toBe(0)
  expect(stderr).toContain('503')
  expect(box.repositories.readRef(project, 'refs/heads/main')).toBe(sha)
})

it('finds by the refs what git has accepted from a process that is gone', async () => {
  await using box = await startGitBox()
  const { project, sha } = await box.filled()
  const kept = { projectId: project.id, userId: box.admin.id, options: ['ci.variable=COLOR=red'] }
  // One that git has carried out, one that it has not, and one of a branch that is elsewhere.
  const [moved, lost] = [{ ref: 'refs/heads/main', before: noSha, after: sha }, 'b'.repeat(40)] as const
  await keepPush(box.core, { ...kept, commands: [moved] })
  await keepPush(box.core, { ...kept, commands: [{ ref: 'refs/heads/gone', before: noSha, after: sha }] })
  await keepPush(box.core, { ...kept, commands: [{ ref: 'refs/heads/main', before: sha, after: lost }] })
  await box.door.followLeft()
  expect((await refs(box)).slice(1)).toEqual([`main ${sha}`])
  // The others are looked at again: git may be still at work for them, though not for ever.
  expect(await left(box)).toBe(2)
  box.clock.advance(3_600_001)
  await box.door.followLeft()
  expect(await left(box)).toBe(0)
  expect(await refs(box)).toHaveLength(2)
})

it('decides about a push that was left when the next one to its branch is accepted', async () => {
  await using box = await startGitBox()
  const { project, work, sha } = await box.filled()
  const kept = { projectId: project.id, userId: box.admin.id, options: [] }
  const main = (before: string, after: string) => [{ ref: 'refs/heads/main', before, after }]
  const next = await work.commit({ a: '1' })
  // Somebody pushed the same, and git has not done it: it is pushed again.
  await keepPush(box.core, { ...kept, commands: main(sha, next) })
  await work.git('push', '--quiet', 'origin', 'main')
  await box.door.followLeft()
  expect((await refs(box)).slice(1)).toEqual([`main ${next}`])
  expect(await left(box)).toBe(0)
  // And one that git had done, before the push that follows it.
  await keepPush(box.core, { ...kept, commands: main(sha, next) })
  const last = await work.commit({ a: '2' })
  await work.git('push', '--quiet', 'origin', 'main')
  await box.door.followLeft()
  expect((await refs(box)).slice(2).sort()).toEqual([`main ${last}`, `main ${next}`].sort())
})

it('reads the history of a ref backwards from where it is', () => {
  const push = (...moves: [string, string][]) => ({
    commands: moves.map(([before, after]) => ({ ref: 'r', before, after })),
  })
  const pushes = [push(['0', 'a']), push(['a', 'x']), push(['a', 'b']), push(['b', 'c']), push(['b', 'd'])]
  const accepted = acceptedOf(pushes, () => 'c')
  expect(pushes.map((one) => accepted.get(one)!.length)).toEqual([1, 0, 1, 1, 0])
})
