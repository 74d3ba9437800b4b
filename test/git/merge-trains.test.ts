/** A merge train over a real repository. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { MergeRequest } from '../../src/core/merge-request.js'
import { acceptLease } from '../../src/core/operations/accept-lease.js'
import { openMergeRequest } from '../../src/core/operations/edit-merge-request.js'
import { finishJob } from '../../src/core/operations/finish-job.js'
import { joinMergeTrain } from '../../src/core/operations/join-merge-train.js'
import { runMergeTrain } from '../../src/core/operations/run-merge-train.js'
import { updateProject } from '../../src/core/operations/update-project.js'
import { getMergeRequest } from '../../src/core/store/merge-requests.js'
import { findCarOf } from '../../src/core/store/merge-train-cars.js'
import { getProject } from '../../src/core/store/projects.js'
import { eventually } from '../support/eventually.js'
import { type GitBox, startGitBox } from './support/git-box.js'

let box: GitBox
beforeAll(async () => {
  box = await startGitBox()
})
afterAll(() => box[Symbol.asyncDispose]())

const config = JSON.stringify({ test: { script: 'x', rules: [{ if: '$CI_COMMIT_SHA' }] } })

/** Branches `one`, `two`, `three` with a file each; `three` also has another content for that of `one`. */
async function departing() {
  const { project, work, sha } = await box.filled({ '.gitlab-ci.yml': config }, 'acme/train')
  for (const [name, files] of Object.entries({ one: ['a'], two: ['b'], three: ['c', 'a'] })) {
    await work.git('checkout', '--quiet', '-b', name, 'main')
    await work.commit(Object.fromEntries(files.map((file) => [`${file}.txt`, name])))
  }
  await work.git('push', '--quiet', 'origin', 'one', 'two', 'three')
  await updateProject(box.core, { projectId: project.id, changes: { mergedResults: 1 } })
  const open = async (sourceBranch: string) =>
    openMergeRequest(box.core, project, {
      projectId: project.id,
      sourceBranch,
      targetBranch: 'main',
      title: sourceBranch,
      description: '',
      userId: box.admin.id,
    })
  return { projectId: project.id, work, sha, open }
}

it('merges one request after another, runs anew behind a push, and refuses what conflicts', async () => {
  const { projectId, work, open } = await departing()
  const { read } = box.core.store
  const join = async (request: MergeRequest) =>
    joinMergeTrain(box.core, await getProject(read, projectId), request, { user: box.admin })
  const carOf = ({ id }: MergeRequest) => findCarOf(read, id)
  const [one, two, three] = [await open('one'), await open('two'), await open('three')]
  for (const request of [one, two]) await join(request)
  await expect(join(three)).rejects.toMatchObject({ message: /three conflicts with main/ })
  const before = (await carOf(two))!
  expect(await work.git('ls-remote', 'origin', `refs/pipelines/${before.pipelineId}`)).toContain(before.sha)

  await work.git('checkout', '--quiet', 'main')
  const pushed = await work.commit({ 'main.txt': 'main' })
  await work.git('push', '--quiet', 'origin', 'main')
  await runMergeTrain(box.core, { projectId, targetBranch: 'main' })
  const [first, second] = [(await carOf(one))!, (await carOf(two))!]
  expect([first.baseSha, second.baseSha]).toEqual([pushed, first.sha])
  await work.git('fetch', '--quiet', 'origin', `+refs/pipelines/${second.pipelineId}:refs/pipelines/second`)
  expect(await work.git('ls-tree', '--name-only', 'refs/pipelines/second')).toBe(
    '.gitlab-ci.yml\na.txt\nb.txt\nmain.txt',
  )

  for (const left = new Set([first.sha, second.sha]); left.size > 0; ) {
    const { jobId, payload, fence, managerId } = await box.lease()
    await acceptLease(box.core, { jobId, fence, managerId })
    const report = { exitCode: null, failureReason: null, message: null, logLength: null, logCrc32: null }
    await finishJob(box.core, { jobId, fence, report: { state: 'success', ...report } })
    left.delete(payload.git_info.sha)
  }
  await eventually(async () => expect((await getMergeRequest(read, two.id)).state).toBe('merged'))
  expect(await work.git('ls-remote', 'origin', 'refs/heads/main')).toContain(second.sha)
  expect((await getMergeRequest(read, one.id)).mergeCommitSha).toBe(first.sha)
  // As after a push.
  const onMain = (await box.pipelines()).filter(({ ref, source }) => ref === 'main' && source === 'push')
  expect(onMain.map(({ sha, beforeSha }) => [beforeSha, sha]).slice(-2)).toEqual([
    [pushed, first.sha],
    [first.sha, second.sha],
  ])
  expect(box.errors).toEqual([])
})
