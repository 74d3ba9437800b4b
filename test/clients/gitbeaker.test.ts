import { AccessLevel, Gitlab } from '@gitbeaker/rest'
import { expect, it } from 'vitest'
import { seen, startGitScene } from './git-scene.js'
import { startScene } from './scene.js'

it('serves @gitbeaker/rest', async () => {
  await using scene = await startScene()
  const api = new Gitlab({ host: scene.url, token: scene.token })
  const project = await api.Projects.show(scene.path)
  expect(project.id).toBe(scene.projectId)
  expect((await api.Projects.all({ perPage: 1, maxPages: 3 })).map((one) => one.id)).toEqual([scene.projectId])

  await api.ProjectVariables.create(project.id, 'KEY', 'value', { environmentScope: 'production' })
  await api.ProjectVariables.edit(project.id, 'KEY', 'other', { filter: { environment_scope: 'production' } })
  expect((await api.ProjectVariables.all(project.id)).map((one) => one.value)).toEqual(['other'])
  await api.ProjectVariables.remove(project.id, 'KEY')

  const pipeline = await api.Pipelines.create(scene.path, 'main', { variables: [{ key: 'A', value: 'b' }] })
  expect(await api.Pipelines.allVariables(project.id, pipeline.id)).toMatchObject([{ key: 'A', value: 'b' }])
  expect((await api.Pipelines.all(project.id)).map((one) => one.id)).toEqual([pipeline.id])
  await scene.work('failed')
  const [build] = await api.Jobs.all(project.id, { pipelineId: pipeline.id, scope: 'failed' })
  expect(build).toMatchObject({ name: 'build', status: 'failed' })
  expect(await api.Jobs.showLog(project.id, build!.id)).toBe('log of job')

  const again = await api.Jobs.retry(project.id, build!.id)
  expect(again).toMatchObject({ name: 'build', status: 'pending' })
  await scene.work()
  const file = await api.JobArtifacts.downloadArchive(project.id, { jobId: again.id, artifactPath: 'out/a.txt' })
  expect(await file.text()).toBe('made by a jöb')
  const archive = await api.JobArtifacts.downloadArchive(project.id, { jobId: again.id })
  expect(Buffer.from(await archive.arrayBuffer()).toString('latin1', 0, 2)).toBe('PK')
  await api.JobArtifacts.keep(project.id, again.id)

  expect(await api.Pipelines.showTestReport(project.id, pipeline.id)).toMatchObject({
    total_count: 1,
    test_suites: [{ name: 'build', test_cases: [{ name: 'adds', status: 'success' }] }],
  })
  const summary = await api.Pipelines.showTestReportSummary(project.id, pipeline.id)
  expect(summary.total).toMatchObject({ count: 1, failed: 0 })

  const [deploy] = await api.Jobs.all(project.id, { pipelineId: pipeline.id, scope: 'manual' })
  expect(await api.Jobs.play(project.id, deploy!.id)).toMatchObject({ status: 'pending' })
  expect(await api.Jobs.cancel(project.id, deploy!.id)).toMatchObject({ status: 'canceled' })
  await api.Jobs.erase(project.id, again.id)
  expect((await api.Runners.all()).length).toBe(1)
  await expect(api.Jobs.show(project.id, 99_999)).rejects.toThrow(/404|Not Found/)
})

it('shows @gitbeaker/rest branches, files, webhooks, groups and users', async () => {
  await using scene = await startGitScene()
  const api = new Gitlab({ host: scene.url, token: scene.token })
  const { id } = await api.Projects.show(scene.path)
  const file = await api.RepositoryFiles.show(id, 'src/a b.txt', 'main')
  await api.ProjectHooks.add(id, 'https://example.com/hook', { pipelineEvents: true })
  expect([
    ['branches', (await api.Branches.all(id)).map((one) => one.name).join(' ')],
    ['tree', ...(await api.Repositories.allRepositoryTrees(id, { path: 'src' })).map((one) => one.path)],
    ['file', Buffer.from(file.content, 'base64').toString()],
    ['hooks', ...(await api.ProjectHooks.all(id)).map((one) => `${one.url} ${one.pipeline_events}`)],
    ['groups', ...(await api.Groups.all()).map((one) => one.full_path)],
    ['users', ...(await api.Users.all()).map((one) => one.username)],
  ]).toEqual(seen.map((line) => [line.split(' ')[0], line.slice(line.indexOf(' ') + 1)]))
})

it('lets @gitbeaker/rest manage users, members, protections, and move projects', async () => {
  await using scene = await startScene()
  const api = new Gitlab({ host: scene.url, token: scene.token })
  const { id } = await api.Projects.show(scene.path)
  const ada = await api.Users.create({
    email: 'ada@example.com',
    name: 'Ada',
    username: 'ada',
    password: 'a long password',
  })
  const team = await api.Groups.create('Other', 'other')

  const developer = AccessLevel.DEVELOPER
  await api.ProjectMembers.add(id, developer, { userId: ada.id })
  await api.GroupMembers.add(team.id, AccessLevel.MAINTAINER, { userId: ada.id })
  await api.ProjectMembers.edit(id, ada.id, AccessLevel.MAINTAINER)
  const member = await api.ProjectMembers.show(id, ada.id)
  expect([member.username, member.access_level]).toEqual(['ada', 40])
  expect((await api.GroupMembers.all(team.id, { includeInherited: true })).map((one) => one.username)).toContain('ada')

  await api.ProtectedBranches.protect(id, 'release-*', { pushAccessLevel: developer })
  await api.ProtectedTags.protect(id, 'v*', { createAccessLevel: developer })
  expect((await api.ProtectedBranches.all(id)).map((one) => one.name)).toContain('release-*')
  expect((await api.ProtectedTags.all(id)).map((one) => one.name)).toEqual(['v*'])
  await api.ProtectedBranches.unprotect(id, 'release-*')
  await api.ProtectedTags.unprotect(id, 'v*')

  await api.Projects.edit(id, { path: 'renamed' })
  expect((await api.Projects.show(scene.path)).path_with_namespace).toBe('team/tools/renamed')
  const moved = await api.Projects.transfer(id, 'other')
  expect((moved as { path_with_namespace: string }).path_with_namespace).toBe('other/renamed')

  await api.ProjectMembers.remove(id, ada.id)
  await api.GroupMembers.remove(team.id, ada.id)
  await api.Users.block(ada.id)
  expect((await api.Users.show(ada.id)).state).toBe('blocked')
  await api.Users.unblock(ada.id)
})
