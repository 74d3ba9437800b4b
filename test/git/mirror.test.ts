/** Projects that mirror a remote repository: another project of the same server, over HTTP. */
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseRemote, type RemoteSource } from '../../src/core/mirror.js'
import { createPipeline } from '../../src/core/operations/create-pipeline.js'
import { createProject } from '../../src/core/operations/create-project.js'
import { fetchMirror, findMirror, setMirror } from '../../src/core/operations/fetch-mirror.js'
import { prepareJob, prepareJobsLeft } from '../../src/core/operations/prepare-job.js'
import type { Project } from '../../src/core/project.js'
import { getProject } from '../../src/core/store/projects.js'
import { defaultRemoteLimits, fetchRemote } from '../../src/git/remote-fetch.js'
import { eventually } from '../support/eventually.js'
import { adminToken, type GitBox, oneJob, startGitBox } from './support/git-box.js'

let box: GitBox
let count = 0
let shared: Awaited<ReturnType<typeof mirrored>>

beforeAll(async () => {
  box = await startGitBox()
  box.trustedHosts.push(`127.0.0.1:${box.port}`)
  shared = await mirrored()
})
afterAll(() => box[Symbol.asyncDispose]())

/** A project with commits, and one that mirrors it. */
async function mirrored(files?: Record<string, string>) {
  const n = ++count
  const source = await box.filled(files, `acme/source-${n}`)
  const url = box.url(`acme/source-${n}`)
  const project = await createProject(box.core, {
    path: `acme/mirror-${n}`,
    user: box.admin,
    mirror: parseRemote(url),
  })
  return { source, project, url }
}

const start = (project: Project, ref = 'main') =>
  createPipeline(box.core, { projectId: project.id, ref, source: 'api', user: box.admin, onInvalid: 'refuse' })

const jobsOf = (pipelineId: number) =>
  box.core.store.read.db.selectFrom('jobs').selectAll().where('pipeline_id', '=', pipelineId).orderBy('id').execute()

/** Everything that a person may get to see of it. */
const shown = async () =>
  JSON.stringify([box.logged, await box.core.store.read.db.selectFrom('events').selectAll().execute()])

it('makes pipelines of what the remote has now, and its jobs clone from here', async () => {
  const { source, project } = await mirrored()
  const pipeline = (await start(project))!
  expect(pipeline.sha).toBe(source.sha)
  await eventually(async () => expect(await jobsOf(pipeline.id)).toMatchObject([{ status: 'pending' }]))
  const next = await source.work.commit({ 'more.txt': 'x' })
  await source.work.git('push', '--quiet', 'origin', 'main', 'main:dev')
  expect((await start(project, 'dev'))!.sha).toBe(next)
  // The pushes to the sources have made pipelines, too.
  let { payload } = await box.lease()
  while (!payload.git_info.repo_url.includes(`/${project.fullPath}.git`)) ({ payload } = await box.lease())
  expect(payload.git_info).toMatchObject({ sha: source.sha, ref: 'main' })
  await source.work.git('push', '--quiet', 'origin', ':dev')
  await expect(start(project, 'dev')).rejects.toMatchObject({ code: 'invalid', message: 'Reference not found' })
  expect(await findMirror(box.core, box.core.store.read, project.id)).toMatchObject({
    source: { url: `http://127.0.0.1:${box.port}/${source.project.fullPath}.git`, password: adminToken },
    error: null,
  })
})

it('fetches the commit of a job that is preparing where it is not here', async () => {
  const { source, project } = await mirrored()
  const pipeline = (await start(project))!
  await eventually(async () => expect(await jobsOf(pipeline.id)).toMatchObject([{ status: 'pending' }]))
  const [job] = await jobsOf(pipeline.id)
  /** As on a node that has not seen the commit. */
  const preparing = (sha: string) =>
    box.core.store.write(async (tx) => {
      await tx.db.updateTable('pipelines').set({ sha }).where('id', '=', pipeline.id).execute()
      await tx.db.updateTable('jobs').set({ status: 'preparing', in_queue: 0 }).where('id', '=', job!.id).execute()
    })
  const next = await source.work.commit({ 'more.txt': 'x' })
  await source.work.git('push', '--quiet', 'origin', 'main')
  await preparing(next)
  expect(await prepareJobsLeft(box.core)).toBe(1)
  expect(await jobsOf(pipeline.id)).toMatchObject([{ status: 'pending' }])
  expect((await box.repositories.commit(project, next)).sha).toBe(next)

  await preparing('f'.repeat(40))
  await setMirror(box.core, project.id, parseRemote(box.url('acme/nowhere')))
  await prepareJob(box.core, job!.id)
  const [failed] = await jobsOf(pipeline.id)
  expect(failed).toMatchObject({ status: 'failed', failure_reason: 'unmet_prerequisites' })
  expect(failed!.failure_message).toContain('there is no such repository')
})

it('takes over the default branch of the remote', async () => {
  const source = await box.project('acme/trunk-source')
  const work = await box.work('acme/trunk-source', 'trunk')
  await work.commit({ '.gitlab-ci.yml': oneJob })
  await work.git('push', '--quiet', 'origin', 'main:trunk')
  await box.settled()
  expect((await getProject(box.core.store.read, source.id)).defaultBranch).toBe('trunk')
  const mirror = parseRemote(box.url('acme/trunk-source'))
  const project = await createProject(box.core, { path: 'acme/trunk', user: box.admin, mirror })
  expect((await fetchMirror(box.core, project)).defaultBranch).toBe('trunk')
})

it('refuses pushes', async () => {
  const { project } = await mirrored()
  const work = await box.work(project.fullPath, 'pusher')
  await work.commit({ a: 'b' })
  await expect(work.git('push', 'origin', 'main:main')).rejects.toThrow(/mirrors another repository: push there/)
})

it.each<[string, Partial<RemoteSource> | string, RegExp]>([
  ['wrong credentials', { password: 'glpat-wrong-secret-0123456789' }, /its host wants other credentials/],
  ['a repository that is not there', 'acme/nowhere', /there is no such repository/],
  ['a loopback address', { url: 'https://127.0.0.1:9/a.git' }, /an address that is not public/],
  ['a private address in other digits', { url: 'https://0x7f000001/a.git' }, /an address that is not public/],
  ['an address of the local link', { url: 'https://169.254.169.254/latest.git' }, /an address that is not public/],
  ['an address of IPv6 that holds one of IPv4', { url: 'https://[::ffff:10.0.0.1]/a.git' }, /is not public/],
  ['plain text', { url: 'http://example.com/a.git' }, /only https/],
])('tells why it cannot fetch: %s', async (_, change, message) => {
  const { project, url } = shared
  const source = typeof change === 'string' ? parseRemote(box.url(change)) : { ...parseRemote(url), ...change }
  await setMirror(box.core, project.id, source)
  const before = await box.core.store.read.db.selectFrom('pipelines').selectAll().execute()
  await expect(start(project)).rejects.toMatchObject({ code: 'unavailable', message: expect.stringMatching(message) })
  expect(await box.core.store.read.db.selectFrom('pipelines').selectAll().execute()).toEqual(before)
  expect((await findMirror(box.core, box.core.store.read, project.id))!.error).toMatch(message)
  expect(await shown()).not.toContain(source.password)
})

it('connects to the address that it has checked, and to none that a name has besides', async () => {
  const place = { repository: path.join(box.folder, 'none'), home: box.repositories.home }
  const source = { url: 'https://rebind.example/a.git', username: '', password: '' }
  const answers = [['203.0.114.1', '10.0.0.1'], []]
  for (const [i, wanted] of [/not public/, /not known/].entries()) {
    const limits = { ...defaultRemoteLimits, resolve: async () => answers[i]! }
    await expect(fetchRemote(place, source, limits)).rejects.toThrow(wanted)
  }
})

it('gives up on a remote that takes too long', async () => {
  const { project, url } = shared
  const place = { repository: box.repositories.pathOf(project.id), home: box.repositories.home }
  const limits = { ...defaultRemoteLimits, trustedHosts: box.trustedHosts, timeoutMs: 1 }
  await expect(fetchRemote(place, parseRemote(url), limits)).rejects.toThrow(/took longer than/)
})

it.each([
  ['ssh://git@host/a.git', 'must be an https URL'],
  ['file:///etc', 'must be an https URL'],
  ['ext::sh -c id', 'is not a valid URL'],
  ['--upload-pack=x', 'is not a valid URL'],
  ['https://host/', 'must name a host and a repository'],
  ['https://host/a?token=1', 'may not have a query or fragment'],
  ['https://user:%0d%0aX@host/a.git', 'has credentials that cannot be sent'],
  ['https://user:%ff@host/a.git', 'has credentials that are not encoded right'],
  [`https://host/${'a'.repeat(3000)}`, 'is too long'],
])('refuses the address %s', (address, message) => {
  expect(() => parseRemote(address)).toThrow(`import_url ${message}`)
})
