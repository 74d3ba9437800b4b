/** Merge trains, with repositories that hold nothing but where branches are. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { MergeRequest } from '../../../src/core/merge-request.js'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { changeMergeRequest, openMergeRequest } from '../../../src/core/operations/edit-merge-request.js'
import { finishJob } from '../../../src/core/operations/finish-job.js'
import { joinMergeTrain } from '../../../src/core/operations/join-merge-train.js'
import { leaveMergeTrain } from '../../../src/core/operations/leave-merge-train.js'
import { followBranches, runMergeTrain, runMergeTrains } from '../../../src/core/operations/run-merge-train.js'
import { updateProject } from '../../../src/core/operations/update-project.js'
import type { Offer } from '../../../src/core/payload/offer.js'
import type { Project } from '../../../src/core/project.js'
import { getMergeRequest } from '../../../src/core/store/merge-requests.js'
import { findCarOf, listCars } from '../../../src/core/store/merge-train-cars.js'
import { getPipeline } from '../../../src/core/store/pipelines.js'
import { gone, startTestCore, type TestCore, type TestRunner } from '../../support/core.js'
import { eventually } from '../../support/eventually.js'
import { onBothEngines } from '../../support/stores.js'

const shaOf = (text: string) => createHash('sha1').update(text).digest('hex')
/** What the repositories of the test make of a merge. */
const merged = (target: string, source: string) => shaOf(`${target} ${source}`)

onBothEngines((engine) => {
  let box: TestCore
  let project: Project
  let runner: TestRunner
  let count = 0
  const leased = new Map<number, Offer>()

  beforeAll(async () => {
    box = await startTestCore(engine)
    const rules = [
      { if: '$CI_MERGE_REQUEST_EVENT_TYPE == "merge_train" && $CI_MERGE_REQUEST_SOURCE_BRANCH_NAME != "silent"' },
    ]
    const made = await box.project({ test: { script: 'x', rules } })
    project = await updateProject(box.core, { projectId: made.id, changes: { mergedResults: 1 } })
    runner = await box.runner()
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const branch = (name: string, sha = shaOf(name)) => {
    box.repositories.branches.set(name, sha)
    return sha
  }
  const open = (sourceBranch: string, targetBranch: string, title = sourceBranch) =>
    openMergeRequest(box.core, project, {
      projectId: project.id,
      sourceBranch,
      targetBranch,
      title,
      description: '',
      userId: box.admin.id,
    })
  const join = (request: MergeRequest, sha?: string) =>
    joinMergeTrain(box.core, project, request, { user: box.admin, ...(sha === undefined ? {} : { sha }) })
  const requestNow = ({ id }: MergeRequest) => getMergeRequest(box.core.store.read, id)
  const carOf = ({ id }: MergeRequest) => findCarOf(box.core.store.read, id)
  const run = (targetBranch: string) => runMergeTrain(box.core, { projectId: project.id, targetBranch })

  /** A train of so many requests into a branch of its own. */
  async function train(length: number) {
    const target = `target-${++count}`
    const start = branch(target)
    const names = Array.from({ length }, (_, i) => `source-${count}-${i}`)
    const sources = names.map((name) => branch(name))
    const requests: MergeRequest[] = []
    for (const name of names) requests.push(await open(name, target))
    for (const request of requests) await join(request)
    return { target, start, sources, requests, names }
  }

  /** Ends the one job of a car's pipeline. */
  async function end(request: MergeRequest, state: 'success' | 'failed') {
    const { pipelineId } = (await carOf(request))!
    while (!leased.has(pipelineId!)) {
      const { offer } = await runner.request()
      const job = await box.core.store.read.db
        .selectFrom('jobs')
        .select('pipeline_id as id')
        .where('id', '=', offer!.jobId)
        .executeTakeFirstOrThrow()
      leased.set(job.id, offer!)
      await acceptLease(box.core, { ...offer!, managerId: runner.manager.id })
    }
    const report = { exitCode: null, failureReason: null, message: null, logLength: null, logCrc32: null }
    await finishJob(box.core, { ...leased.get(pipelineId!)!, report: { state, ...report } })
    return pipelineId!
  }

  it('runs each request on what those before it give, and merges them in order', async () => {
    const { target, start, sources, requests } = await train(2)
    const [first, second] = requests as [MergeRequest, MergeRequest]
    const shas = [merged(start, sources[0]!), merged(merged(start, sources[0]!), sources[1]!)]
    expect(await carOf(first)).toMatchObject({ status: 'fresh', baseSha: start, sha: shas[0] })
    expect(await carOf(second)).toMatchObject({ status: 'fresh', baseSha: shas[0], sha: shas[1] })
    const { pipelineId } = (await carOf(second))!
    expect(await getPipeline(box.core.store.read, pipelineId!)).toMatchObject({
      sha: shas[1],
      ref: `refs/merge-requests/${second.iid}/train`,
      source: 'merge_request_event',
    })
    // The second one is through first, and waits.
    await end(second, 'success')
    await run(target)
    expect(box.repositories.branches.get(target)).toBe(start)
    await end(first, 'success')
    await eventually(async () => expect((await requestNow(second)).state).toBe('merged'))
    expect(await requestNow(first)).toMatchObject({ state: 'merged', mergeCommitSha: shas[0] })
    expect(box.repositories.branches.get(target)).toBe(shas[1])
    expect(await carOf(second)).toMatchObject({ status: 'merged', pipelineId, mergedAt: expect.any(Number) })
  })

  it('takes out a request whose pipeline fails; those behind it run anew', async () => {
    const { target, start, sources, requests } = await train(3)
    const [first, second, third] = requests as [MergeRequest, MergeRequest, MergeRequest]
    const stale = (await carOf(third))!.pipelineId!
    const untouched = (await carOf(first))!.pipelineId
    const failed = await end(second, 'failed')
    await run(target)
    expect(await carOf(second)).toBeUndefined()
    expect(await requestNow(second)).toMatchObject({ state: 'opened', mergeError: `Pipeline ${failed} is failed` })
    expect((await getPipeline(box.core.store.read, stale)).status).toBe('canceled')
    const sha = merged(merged(start, sources[0]!), sources[2]!)
    expect(await carOf(third)).toMatchObject({ sha, status: 'fresh' })
    expect((await carOf(first))!.pipelineId).toBe(untouched)
    await leaveMergeTrain(box.core, first)
    await run(target)
    expect(await carOf(third)).toMatchObject({ baseSha: start, sha: merged(start, sources[2]!) })
    expect((await getPipeline(box.core.store.read, untouched!)).status).toMatch(/^cancel/)
    await changeMergeRequest(box.core, { projectId: project.id, iid: third.iid, changes: { state: 'closed' } })
    expect(await carOf(third)).toBeUndefined()
    // Who has left may come again.
    await join(first)
    await end(first, 'success')
    await run(target)
    expect(await requestNow(first)).toMatchObject({ state: 'merged', mergeError: null })
  })

  it('runs anew on a branch that was pushed to, also at the last moment', async () => {
    const { target, sources, requests } = await train(1)
    const [only] = requests as [MergeRequest]
    const before = (await carOf(only))!.pipelineId!
    const moved = branch(target, shaOf('a push'))
    await followBranches(box.core, project.id, [target])
    await run(target)
    expect(await carOf(only)).toMatchObject({ baseSha: moved, sha: merged(moved, sources[0]!) })
    expect((await getPipeline(box.core.store.read, before)).status).toBe('canceled')
    // Decided, but a push is quicker than the move.
    await set(only, { status: 'merging' })
    const again = branch(target, shaOf('another push'))
    expect(await run(target)).toBe(0)
    expect(await carOf(only)).toMatchObject({ status: 'fresh', baseSha: again })
    await leaveMergeTrain(box.core, only)
  })

  const set = ({ id }: MergeRequest, values: { status: 'merging' }) =>
    box.core.store.write((tx) =>
      tx.db.updateTable('merge_train_cars').set(values).where('merge_request_id', '=', id).execute(),
    )

  it.each(['before', 'after'])('goes on after a stop %s the branch was moved, and merges once', async (when) => {
    const { target, start, sources, requests } = await train(1)
    const [only] = requests as [MergeRequest]
    const sha = merged(start, sources[0]!)
    await set(only, { status: 'merging' })
    if (when === 'after') branch(target, sha)
    await expect(leaveMergeTrain(box.core, only)).rejects.toMatchObject({ code: 'conflict' })
    expect(await runMergeTrains(box.core)).toBe(1)
    expect(await requestNow(only)).toMatchObject({ state: 'merged', mergeCommitSha: sha })
    expect(box.repositories.branches.get(target)).toBe(sha)
    expect(await runMergeTrains(box.core)).toBe(0)
  })

  it('goes on after a stop before a pipeline was made', async () => {
    const { target, requests } = await train(1)
    const [only] = requests as [MergeRequest]
    await box.core.store.write((tx) =>
      tx.db
        .updateTable('merge_train_cars')
        .set({ status: 'idle', pipeline_id: null, base_sha: null, sha: null })
        .where('merge_request_id', '=', only.id)
        .execute(),
    )
    await box.tasks.run('run_merge_trains')
    expect(await carOf(only)).toMatchObject({ status: 'fresh', pipelineId: expect.any(Number) })
    await run(target)
    expect(
      (
        await listCars(
          box.core.store.read,
          { projectId: project.id, targetBranch: target },
          { limit: 9, offset: 0 },
          'asc',
        )
      ).length,
    ).toBe(1)
    await leaveMergeTrain(box.core, only)
  })

  it('takes out requests whose branch is pushed to or gone, and all when the target is gone', async () => {
    const { target, names, requests } = await train(4)
    branch(names[0]!, shaOf('more'))
    branch(names[1]!, gone)
    await followBranches(box.core, project.id, [names[0]!])
    await run(target)
    const errors = async () => Promise.all(requests.map(async (one) => (await requestNow(one)).mergeError))
    expect(await errors()).toEqual(['The source branch was updated', `${names[1]} is no branch any more`, null, null])
    branch(target, gone)
    await run(target)
    expect((await errors()).slice(2)).toEqual(Array(2).fill(`${target} is no branch any more`))
    expect(
      await listCars(
        box.core.store.read,
        { projectId: project.id, targetBranch: target },
        { limit: 9, offset: 0 },
        'asc',
      ),
    ).toEqual([])
  })

  it('refuses what cannot be merged', async () => {
    const { target, requests } = await train(1)
    const [only] = requests as [MergeRequest]
    await expect(join(only)).rejects.toMatchObject({ code: 'conflict', message: /in the merge train already/ })
    box.repositories.conflicting.add(branch('conflicting'))
    await expect(join(await open('conflicting', target))).rejects.toMatchObject({ message: /conflicts with target/ })
    branch('silent')
    await expect(join(await open('silent', target))).rejects.toMatchObject({ code: 'invalid', message: /rules/ })
    await leaveMergeTrain(box.core, only)
    await expect(leaveMergeTrain(box.core, only)).rejects.toMatchObject({ code: 'not_found' })
    await changeMergeRequest(box.core, { projectId: project.id, iid: only.iid, changes: { state: 'closed' } })
    await expect(join(only)).rejects.toMatchObject({ message: 'The merge request is closed' })
  })

  it('runs twenty at once at most', async () => {
    const { target, requests } = await train(21)
    const last = requests.at(-1)!
    expect(await carOf(last)).toMatchObject({ status: 'idle', pipelineId: null })
    await leaveMergeTrain(box.core, requests[19]!)
    await run(target)
    expect(await carOf(last)).toMatchObject({ status: 'fresh' })
  })
})
