/**
 * Repositories on Gitea and GitLab. Gitea is a double made of a real one's answers; in GitLab's place stands another Signalbox,
 * whose API is GitLab's, but is ours: what GitLab itself would say is not seen here.
 */
import { createHmac } from 'node:crypto'
import { expect, it } from 'vitest'
import { deliverySecret } from '../../src/core/operations/edit-delivery-secret.js'
import { ForgeClients } from '../../src/forges/forge-clients.js'
import { ForgeReporter } from '../../src/forges/reporter.js'
import { type ShimBox, startShimBox, until } from '../shim/support/box.js'
import { adminToken } from '../support/core.js'
import { GiteaDouble } from './support/gitea.js'

/** A coordinator that may speak to this host. */
async function coordinator(host: string): Promise<{ box: ShimBox; reporter: ForgeReporter }> {
  const box = await startShimBox('sqlite')
  const { core } = box.core
  Object.assign(core, { forges: new ForgeClients({ hosts: [host], now: () => core.clock.now() }) })
  const reporter = new ForgeReporter(core)
  await reporter.start()
  return { box, reporter }
}

const eventually = (box: ShimBox, holds: () => boolean | Promise<boolean>) =>
  until(async () => {
    box.core.clock.advance(50)
    return holds()
  })
const api = (box: ShimBox, method: string, path: string, json?: object) =>
  box.admin(method, `/api/signalbox/v1${path}`, json ? { json } : {})

it('tells Gitea, whose webhooks keep their secret and whose unknown commits are errors', async () => {
  await using forge = await new GiteaDouble().start()
  const { box, reporter } = await coordinator(forge.host)
  await using _ = box
  const url = `${forge.url}/boss/app`
  forge.scopes.clear()
  const refused = await api(box, 'POST', '/connections', { url, forge_token: forge.token })
  expect([refused.status, refused.body.detail]).toEqual([400, expect.stringContaining('the scope write:repository')])
  forge.scopes.add('write:repository')
  // Its kind is found out.
  const { status, body } = await api(box, 'POST', '/connections', { url, forge_token: forge.token })
  expect([status, body.kind]).toEqual([201, 'gitea'])
  const id = body.project_id
  const secretOf = () => forge.secrets.get([...forge.hooks.keys()].at(-1)!)
  expect(secretOf()).toBe(await deliverySecret(box.core.core, id))
  // Somebody has made another secret: the webhook is one with that.
  await api(box, 'POST', `/projects/${id}/hook-secret`)
  await api(box, 'POST', `/projects/${id}/connection/check`)
  expect(forge.hooks.size).toBe(1)
  const secret = secretOf()!
  expect(secret).toBe(await deliverySecret(box.core.core, id))
  const push = async () => {
    box.core.configure({ id } as never, { test: { script: 'x' } })
    const { sha } = box.core.repositories
    const text = JSON.stringify({ ref: 'refs/heads/main', before: '0'.repeat(40), after: sha })
    const signature = createHmac('sha256', secret).update(text).digest('hex')
    const headers = { 'Content-Type': 'application/json', 'X-Gitea-Event': 'push', 'X-Gitea-Signature': signature }
    const answer = await box.send('POST', `/api/signalbox/v1/projects/${id}/hooks/gitea`, { body: text, headers })
    expect(answer.status).toBe(202)
    return sha
  }
  const statuses = async () => (await api(box, 'GET', `/projects/${id}/connection/statuses`)).body
  await push()
  await eventually(box, async () => (await statuses())[0]?.message === 'it has no such commit')
  // One that it has is told, though the other one failed with an error of the server.
  box.core.repositories.sha = `${'a'.repeat(39)}0`
  forge.commits.add(`${'a'.repeat(39)}1`)
  const known = await push()
  expect(forge.commits.has(known)).toBe(true)
  await eventually(box, () => forge.told.length > 0)
  expect(forge.told[0]).toMatchObject({ sha: known, state: 'pending', context: 'signalbox/push' })
  expect((await api(box, 'DELETE', `/projects/${id}/connection`)).body.left).toBeNull()
  expect(forge.hooks.size).toBe(0)
  await reporter.close()
})

it('tells a GitLab, as far as another Signalbox is one', async () => {
  await using gitlab = await startShimBox('sqlite')
  const host = new URL(gitlab.url).host
  const there = await gitlab.core.project({ test: { script: 'x' } }, 'group/sub/app')
  const { box, reporter } = await coordinator(host)
  await using _ = box
  const url = `${gitlab.url}/group/sub/app`
  const give = { url, kind: 'gitlab', forge_token: adminToken }
  expect((await api(box, 'POST', '/connections', { ...give, forge_token: 'glpat-wrong' })).status).toBe(400)
  const { status, body } = await api(box, 'POST', '/connections', give)
  expect([status, body.path_with_namespace, body.kind]).toEqual([201, 'group/sub/app', 'gitlab'])
  const id = body.project_id
  const hooks = await gitlab.admin('GET', `/projects/${there.id}/hooks`)
  expect(hooks.body).toMatchObject([{ url: `http://box.test/api/signalbox/v1/projects/${id}/hooks/gitlab` }])
  box.core.configure({ id } as never, { test: { script: 'x' } })
  const { sha } = box.core.repositories
  const secret = (await deliverySecret(box.core.core, id))!
  const answer = await box.send('POST', `/api/signalbox/v1/projects/${id}/hooks/gitlab`, {
    json: { ref: 'refs/heads/main', before: '0'.repeat(40), after: sha },
    headers: { 'X-Gitlab-Event': 'Push Hook', 'X-Gitlab-Token': secret },
  })
  expect(answer.status).toBe(202)
  const shown = async () =>
    (await gitlab.admin('GET', `/projects/${there.id}/repository/commits/${sha}/statuses`)).body as {
      name: string
      status: string
      target_url: string
      description: string
    }[]
  await eventually(box, async () => (await shown()).length > 0)
  const runner = await box.runnerToken()
  let job = await box.poll(runner)
  await eventually(box, async () => {
    if (job.status !== 201) job = await box.poll(runner)
    return job.status === 201
  })
  const put = (state: string) => box.send('PUT', `/jobs/${job.body.id}`, { json: { token: job.body.token, state } })
  await put('running')
  await put('failed')
  await eventually(box, async () => (await shown())[0]?.status === 'failed')
  expect(await shown()).toMatchObject([
    {
      name: 'signalbox/push',
      status: 'failed',
      target_url: expect.stringMatching(/^http:\/\/box\.test\/group\/sub\/app\/-\/pipelines\/\d+$/),
      description: expect.stringMatching(/^test: The job failed/),
    },
  ])
  expect((await api(box, 'DELETE', `/projects/${id}/connection`)).body.left).toBeNull()
  expect((await gitlab.admin('GET', `/projects/${there.id}/hooks`)).body).toEqual([])
  await reporter.close()
})
