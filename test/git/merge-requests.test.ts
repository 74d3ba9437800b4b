/** Pipelines of merge requests, over real repositories. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createRequestPipeline } from '../../src/core/operations/create-request-pipeline.js'
import { openMergeRequest } from '../../src/core/operations/edit-merge-request.js'
import { protectRef, unprotectRef } from '../../src/core/operations/edit-protection.js'
import { joinMergeTrain } from '../../src/core/operations/join-merge-train.js'
import { runMergeTrain } from '../../src/core/operations/run-merge-train.js'
import { updateProject } from '../../src/core/operations/update-project.js'
import type { Project } from '../../src/core/project.js'
import { findCarOf } from '../../src/core/store/merge-train-cars.js'
import { getProject } from '../../src/core/store/projects.js'
import { eventually } from '../support/eventually.js'
import { type GitBox, startGitBox } from './support/git-box.js'

let box: GitBox
beforeAll(async () => {
  box = await startGitBox()
})
afterAll(() => box[Symbol.asyncDispose]())

const config = JSON.stringify({
  workflow: { rules: [{ if: '$CI_MERGE_REQUEST_IID' }] },
  any: { script: 'x' },
  changed: { script: 'x', rules: [{ changes: ['topic.txt'] }] },
  unchanged: { script: 'x', rules: [{ changes: ['main.txt'] }] },
  child: {
    trigger: { include: 'child.yml' },
    rules: [{ if: '$CI_MERGE_REQUEST_EVENT_TYPE == "detached"' }],
  },
})
const child = JSON.stringify({
  inner: { script: 'x', rules: [{ if: '$CI_MERGE_REQUEST_IID == "1" && !$CI_COMMIT_BRANCH' }] },
})

const jobsOf = async (id: number) => {
  const rows = await box.core.store.read.db
    .selectFrom('jobs')
    .select('name')
    .where('pipeline_id', '=', id)
    .orderBy('name')
    .execute()
  return rows.map((row) => row.name)
}

/** `topic` has one commit that `main` has not, and the other way round. */
async function parted(path: string, conflict = false) {
  const { project, work } = await box.filled({ '.gitlab-ci.yml': config, 'child.yml': child }, path)
  await work.git('checkout', '--quiet', '-b', 'topic')
  const source = await work.commit({ 'topic.txt': 'topic' })
  await work.git('checkout', '--quiet', 'main')
  const target = await work.commit({ [conflict ? 'topic.txt' : 'main.txt']: 'main' })
  await work.git('push', '--quiet', 'origin', 'main', 'topic')
  const request = await openMergeRequest(box.core, project, {
    projectId: project.id,
    sourceBranch: 'topic',
    targetBranch: 'main',
    title: 'Draft: all of it',
    description: '',
    userId: box.admin.id,
  })
  return { project, work, source, target, request }
}

const merging = (project: Project) => updateProject(box.core, { projectId: project.id, changes: { mergedResults: 1 } })

const variablesOf = async (id: number): Promise<Record<string, string>> => {
  const row = await box.core.store.read.db
    .selectFrom('pipelines')
    .select('variables')
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  const { predefined } = JSON.parse(box.core.keys.open(row.variables!).toString())
  return Object.fromEntries(predefined.map((one: { key: string; value: string }) => [one.key, one.value]))
}

it('runs the source branch as it is, with what the request changes; its children are of the request, too', async () => {
  const { project, source, request } = await parted('acme/detached')
  const pipeline = (await createRequestPipeline(box.core, project, request, { user: box.admin, onInvalid: 'refuse' }))!
  expect(pipeline).toMatchObject({ source: 'merge_request_event', ref: 'refs/merge-requests/1/head', sha: source })
  expect(await jobsOf(pipeline.id)).toEqual(['any', 'changed', 'child'])
  const variables = await variablesOf(pipeline.id)
  expect(variables).toMatchObject({
    CI_COMMIT_REF_NAME: 'topic',
    CI_MERGE_REQUEST_IID: '1',
    CI_MERGE_REQUEST_EVENT_TYPE: 'detached',
    CI_MERGE_REQUEST_SOURCE_BRANCH_SHA: '',
    CI_MERGE_REQUEST_TARGET_BRANCH_NAME: 'main',
    CI_MERGE_REQUEST_DRAFT: 'true',
  })
  expect(variables).not.toHaveProperty('CI_COMMIT_BRANCH')
  const made = await eventually(() =>
    box.core.store.read.db
      .selectFrom('pipelines')
      .select(['id', 'ref', 'sha'])
      .where('source', '=', 'parent_pipeline')
      .where('project_id', '=', project.id)
      .executeTakeFirstOrThrow(),
  )
  expect(made).toMatchObject({ ref: 'refs/merge-requests/1/head', sha: source })
  expect(await jobsOf(made.id)).toEqual(['inner'])
})

it('follows a push to the source branch, and tells the branch of the request', async () => {
  const { project, work, request } = await parted('acme/pushed')
  await work.git('checkout', '--quiet', 'topic')
  const rules = [{ if: '$CI_MERGE_REQUEST_IID' }, { if: '$CI_OPEN_MERGE_REQUESTS == "acme/pushed!1"' }]
  const sha = await work.commit({ '.gitlab-ci.yml': JSON.stringify({ any: { script: 'x', rules } }) })
  await work.git('push', '--quiet', 'origin', 'topic')
  await eventually(async () => {
    const made = (await box.pipelines()).filter((one) => one.projectId === project.id)
    expect(made.map((one) => [one.source, one.ref, one.sha])).toEqual([
      ['push', 'topic', sha],
      ['merge_request_event', `refs/merge-requests/${request.iid}/head`, sha],
    ])
  })
})

it('runs what merging would give where the project says so, and a job can fetch it', async () => {
  const { project, work, source, target, request } = await parted('acme/merged')
  const pipeline = (await createRequestPipeline(box.core, await merging(project), request, {
    user: box.admin,
    onInvalid: 'refuse',
  }))!
  expect(pipeline.ref).toBe('refs/merge-requests/1/merge')
  expect(await jobsOf(pipeline.id)).toEqual(['any', 'changed'])
  expect(await variablesOf(pipeline.id)).toMatchObject({
    CI_MERGE_REQUEST_EVENT_TYPE: 'merged_result',
    CI_MERGE_REQUEST_SOURCE_BRANCH_SHA: source,
    CI_MERGE_REQUEST_TARGET_BRANCH_SHA: target,
  })
  await work.git('fetch', '--quiet', 'origin', `+refs/pipelines/${pipeline.id}:refs/pipelines/${pipeline.id}`)
  expect(await work.git('rev-parse', `${pipeline.sha}^1`, `${pipeline.sha}^2`)).toBe(`${target}\n${source}`)
  expect(await work.git('ls-tree', '--name-only', pipeline.sha)).toBe('.gitlab-ci.yml\nchild.yml\nmain.txt\ntopic.txt')
  for (let lease = await box.lease(); ; lease = await box.lease()) {
    if (lease.payload.git_info.sha !== pipeline.sha) continue
    expect(lease.payload.git_info.refspecs).toEqual([`+refs/pipelines/${pipeline.id}:refs/pipelines/${pipeline.id}`])
    break
  }
})

it('runs the source branch alone where the branches conflict', async () => {
  const { project, source, request } = await parted('acme/conflict', true)
  const pipeline = (await createRequestPipeline(box.core, await merging(project), request, {
    user: box.admin,
    onInvalid: 'refuse',
  }))!
  expect(pipeline).toMatchObject({ ref: 'refs/merge-requests/1/head', sha: source })
})

it('runs no protected branch merged with one that is not: its secrets are not for who may write that', async () => {
  const { project, work, target: main } = await parted('acme/secrets')
  await work.git('checkout', '--quiet', 'topic')
  await merging(project)
  const request = await openMergeRequest(box.core, project, {
    projectId: project.id,
    sourceBranch: 'main',
    targetBranch: 'topic',
    title: 'the other way',
    description: '',
    userId: box.admin.id,
  })
  const now = () => getProject(box.core.store.read, project.id)
  const run = async () =>
    createRequestPipeline(box.core, await now(), request, { user: box.admin, onInvalid: 'refuse' })
  const refs = `refs/merge-requests/${request.iid}`
  expect(await run()).toMatchObject({ ref: `${refs}/head`, sha: main, protected: 1 })
  await expect(joinMergeTrain(box.core, await now(), request, { user: box.admin })).rejects.toMatchObject({
    code: 'invalid',
    message: 'The source branch is protected, and the target branch is not',
  })
  const topic = { kind: 'branch', name: 'topic', push: 40, merge: 40, force: false } as const
  await protectRef(box.core, project.id, topic)
  expect(await run()).toMatchObject({ ref: `${refs}/merge` })
  // On its way already.
  await joinMergeTrain(box.core, await now(), request, { user: box.admin })
  await unprotectRef(box.core, project.id, topic)
  await runMergeTrain(box.core, { projectId: project.id, targetBranch: 'topic' })
  expect(await findCarOf(box.core.store.read, request.id)).toBeUndefined()
})

it('refuses a request whose branch is gone, or that is closed', async () => {
  const { project, work, request } = await parted('acme/gone')
  const run = (one = request) => createRequestPipeline(box.core, project, one, { user: box.admin, onInvalid: 'refuse' })
  await expect(run({ ...request, state: 'closed' })).rejects.toMatchObject({ message: 'The merge request is closed' })
  await work.git('push', '--quiet', 'origin', ':topic')
  await expect(run()).rejects.toMatchObject({ code: 'invalid', message: 'topic is no branch any more' })
})
