/** Webhooks from forges, over HTTP; the mirrored repository is one in memory. */
import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { SignalboxError } from '../../src/core/errors.js'
import { parseRemote } from '../../src/core/mirror.js'
import { setMirror } from '../../src/core/operations/fetch-mirror.js'
import { workOnDeliveriesLeft, workOnDelivery } from '../../src/core/operations/receive-delivery.js'
import { showPipelineVariables } from '../../src/core/operations/show-pipeline-variables.js'
import type { Project } from '../../src/core/project.js'
import { ShimBox } from '../shim/support/box.js'
import { startTestCore } from '../support/core.js'
import { eventually } from '../support/eventually.js'
import { onBothEngines } from '../support/stores.js'

const sha = 'a'.repeat(40)
const before = 'b'.repeat(40)
const zero = '0'.repeat(40)

const hmac = (secret: string, body: string) => createHmac('sha256', secret).update(body).digest('hex')

/** What each forge sends beside the payload. */
const headersOf = {
  github: (secret: string, body: string, event: string, id: string) => ({
    'X-GitHub-Event': event,
    'X-GitHub-Delivery': id,
    'X-Hub-Signature-256': `sha256=${hmac(secret, body)}`,
  }),
  gitea: (secret: string, body: string, event: string, id: string) => ({
    'X-Gitea-Event': event,
    'X-Gitea-Delivery': id,
    'X-Gitea-Signature': hmac(secret, body),
  }),
  gitlab: (secret: string, _: string, event: string, id: string) => ({
    'X-Gitlab-Event': event,
    'X-Gitlab-Event-UUID': id,
    'X-Gitlab-Token': secret,
  }),
  generic: (secret: string, body: string, _: string, id: string) => ({
    'X-Signalbox-Delivery': id,
    'X-Signalbox-Signature': `sha256=${hmac(secret, body)}`,
  }),
}
type Forge = keyof typeof headersOf

const pullRequest = (action: string, from = 'acme/app') => ({
  action,
  number: 7,
  pull_request: {
    head: { ref: 'topic', sha, repo: { full_name: from } },
    base: { ref: 'main', sha: before, repo: { full_name: 'acme/app' } },
  },
})

const mergeRequest = (action: string, more: object = {}) => ({
  object_kind: 'merge_request',
  object_attributes: {
    iid: 7,
    action,
    source_branch: 'topic',
    target_branch: 'main',
    last_commit: { id: sha },
    source: { path_with_namespace: 'acme/app' },
    target: { path_with_namespace: 'acme/app' },
    ...more,
  },
})

onBothEngines((engine) => {
  let box: ShimBox
  let project: Project
  let secret: string
  let count = 0

  beforeAll(async () => {
    box = await new ShimBox(await startTestCore(engine), {}).start()
    project = await box.core.project({ test: { script: 'x' } }, 'acme/mirror')
    await setMirror(box.core.core, project.id, parseRemote('https://git.example.com/acme/app.git'))
    secret = (await box.admin('POST', '/api/signalbox/v1/projects/acme%2Fmirror/hook-secret')).body.secret
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const post = (forge: string, payload: unknown, headers: Record<string, string>) => {
    const body = typeof payload === 'string' ? payload : JSON.stringify(payload)
    const path = `/api/signalbox/v1/projects/${project.id}/hooks/${forge}`
    return box.send('POST', path, { body, headers: { 'Content-Type': 'application/json', ...headers } })
  }
  const send = (forge: Forge, event: string, payload: unknown, id = `d-${++count}`) => {
    const body = typeof payload === 'string' ? payload : JSON.stringify(payload)
    return post(forge, body, headersOf[forge](secret, body, event, id))
  }

  /** The newest deliveries as people see them, once none waits. */
  const deliveries = () =>
    eventually(async () => {
      const { body } = await box.admin('GET', `/api/signalbox/v1/projects/${project.id}/hook-deliveries`)
      expect(body.filter((one: { status: string }) => one.status === 'waiting')).toEqual([])
      return body as { status: string; pipeline_id: number | null; message: string | null; event: string }[]
    })
  /** How much a webhook may add to; what its pipelines do meanwhile does not matter. */
  const kept = async () => {
    const { db } = box.core.core.store.read
    const count = async (table: 'pipelines' | 'hook_deliveries') =>
      (await db.selectFrom(table).select('id').execute()).length
    return [await count('pipelines'), await count('hook_deliveries')]
  }
  const pipelineOf = async () => {
    const [newest] = await deliveries()
    const { pipeline_id } = newest!
    expect(newest).toMatchObject({ status: 'done', message: null })
    return box.core.core.store.read.db
      .selectFrom('pipelines')
      .selectAll()
      .where('id', '=', pipeline_id!)
      .executeTakeFirstOrThrow()
  }

  it.each<[Forge, string]>([
    ['github', 'push'],
    ['gitea', 'push'],
    ['gitlab', 'Push Hook'],
  ])('makes a pipeline of a push that %s tells of, once however often it comes', async (forge, event) => {
    const payload = { ref: 'refs/heads/main', before, after: sha, commits: [] }
    const first = await send(forge, event, payload, `once-${forge}`)
    expect([first.status, first.body]).toEqual([
      202,
      expect.objectContaining({ forge, event: 'push', duplicate: false }),
    ])
    const made = await pipelineOf()
    expect(made).toMatchObject({ source: 'push', sha, before_sha: before, user_id: box.core.admin.id })
    const had = await kept()
    const again = await send(forge, event, payload, `once-${forge}`)
    expect([again.status, again.body.duplicate, again.body.pipeline_id]).toEqual([200, true, made.id])
    expect(await kept()).toEqual(had)
  })

  it('makes pipelines of tags, and of what a script tells with a branch', async () => {
    await send('github', 'push', { ref: 'refs/tags/v1', before: zero, after: sha })
    // An annotated tag has an id that is no commit: what it points to counts.
    expect(await pipelineOf()).toMatchObject({ source: 'push', sha: box.core.repositories.sha, before_sha: zero })
    await send('generic', 'push', { branch: 'dev' })
    expect((await pipelineOf()).ref).toBe('dev')
  })

  it.each<[Forge, string, object]>([
    ['github', 'pull_request', pullRequest('synchronize')],
    ['gitea', 'pull_request', pullRequest('synchronized')],
    ['gitlab', 'Merge Request Hook', mergeRequest('update', { oldrev: before })],
  ])('makes pipelines of requests to merge that %s tells of', async (forge, event, payload) => {
    await send(forge, event, payload)
    const made = await pipelineOf()
    expect(made).toMatchObject({ source: 'external_pull_request_event', sha })
    const job = await box.core.core.store.read.db
      .selectFrom('pipelines')
      .select('variables')
      .where('id', '=', made.id)
      .executeTakeFirstOrThrow()
    const text = box.core.core.keys.open(job.variables!).toString()
    expect(text).toContain('"CI_EXTERNAL_PULL_REQUEST_IID","value":"7"')
    expect(text).toContain('"CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME","value":"topic"')
    expect(await showPipelineVariables(box.core.core, made.id)).toEqual([])
  })

  it.each<[Forge, string, object, RegExp]>([
    ['github', 'ping', { zen: 'x' }, /a ping/],
    ['github', 'star', {}, /events of this kind are not used: star/],
    ['github', 'pull_request', pullRequest('closed'), /action closed/],
    ['github', 'pull_request', pullRequest('opened', 'eve/app'), /from a fork/],
    ['github', 'push', { ref: 'refs/heads/gone', before: sha, after: zero }, /refs\/heads\/gone is gone/],
    ['gitlab', 'Merge Request Hook', mergeRequest('update'), /action update/],
    ['gitlab', 'Job Hook', {}, /not used: Job Hook/],
  ])('makes none of %s %s %j', async (forge, event, payload, message) => {
    expect((await send(forge, event, payload)).status).toBe(202)
    expect((await deliveries())[0]).toMatchObject({
      status: 'done',
      pipeline_id: null,
      message: expect.stringMatching(message),
    })
  })

  it('takes a push of as many commits as GitHub tells of, and nothing larger', async () => {
    const modified = Array.from({ length: 20 }, (_, i) => `packages/some/where/deep/file-${i}.ts`)
    const commits = Array.from({ length: 2048 }, () => ({ id: sha, message: 'Change '.repeat(40), modified }))
    const large = await send('github', 'push', { ref: 'refs/heads/gone', before, after: zero, deleted: true, commits })
    expect([large.status, large.body.event]).toEqual([202, 'fetch'])
    const larger = await post('github', ' '.repeat(8 * 1024 * 1024 + 1), {})
    expect([larger.status, larger.body.code]).toEqual([413, 'too_large'])
  })

  it('refuses what is not signed with the secret, and tells nobody which projects there are', async () => {
    const body = JSON.stringify({ ref: 'refs/heads/main', before, after: sha })
    const good = headersOf.github(secret, body, 'push', 'x')
    const answers = new Set<string>()
    const had = await kept()
    for (const [forge, headers] of [
      ['github', {}],
      ['github', { ...good, 'X-Hub-Signature-256': `sha256=${hmac('', body)}` }],
      ['github', { ...good, 'X-Hub-Signature-256': hmac(secret, body) }],
      ['github', { ...good, 'X-Hub-Signature-256': `sha256=${hmac(secret, `${body} `)}` }],
      ['gitea', good],
      ['gitlab', { 'X-Gitlab-Token': `${secret}x` }],
      ['gitlab', { 'X-Gitlab-Token': '' }],
      ['generic', { 'X-Signalbox-Signature': 'sha256=' }],
    ] as [string, Record<string, string>][]) {
      const { status, body: answer } = await post(forge, body, headers)
      answers.add(JSON.stringify([status, answer.code, answer.detail]))
    }
    const nowhere = await box.send('POST', '/api/signalbox/v1/projects/999999/hooks/github', { body, headers: good })
    answers.add(JSON.stringify([nowhere.status, nowhere.body.code, nowhere.body.detail]))
    expect([...answers]).toEqual([
      JSON.stringify([401, 'unauthenticated', 'the signature does not fit the secret of a project here']),
    ])
    expect(await kept()).toEqual(had)
  })

  it.each<[Forge, string, unknown, RegExp]>([
    ['github', 'push', {}, /payload's ref is missing/],
    [
      'github',
      'push',
      { ref: 'main', before, after: sha },
      /payload's ref must be refs\/heads\/NAME or refs\/tags\/NAME/,
    ],
    ['github', 'push', { ref: 'refs/heads/--upload', before, after: sha }, /payload's ref must be/],
    ['github', 'push', { ref: 'refs/heads/a', before, after: 'x' }, /payload's after must be a commit id/],
    ['github', 'push', { ref: ['refs/heads/a'], before, after: sha }, /payload's ref must be a text/],
    ['github', 'pull_request', { action: 'opened', number: '7' }, /payload's number must be a number/],
    [
      'github',
      'pull_request',
      { ...pullRequest('opened'), pull_request: [] },
      /payload's pull_request.head.repo.full_name/,
    ],
    [
      'gitlab',
      'Merge Request Hook',
      mergeRequest('open', { iid: 0 }),
      /payload's object_attributes.iid must be a number/,
    ],
    ['generic', '', { ref: 'refs/heads/a', branch: 'a' }, /needs one of ref, branch and tag, and has ref and branch/],
    ['generic', '', '[]', /payload is not a map/],
    ['generic', '', '{"ref": ', /JSON/i],
    ['generic', '', '{"__proto__": {}}', /key/],
  ])('says where a payload is wrong: %s %s %j', async (forge, event, payload, message) => {
    const had = await kept()
    const answer = await send(forge, event, payload)
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid'])
    expect(answer.body.detail).toMatch(message)
    expect(await kept()).toEqual(had)
  })

  it('keeps what came while the repository could not be fetched, and gives up after a while', async () => {
    const { repositories, core } = box.core
    const fetch = repositories.fetch.bind(repositories)
    repositories.fetch = () => Promise.reject(new SignalboxError('unavailable', 'its host does not answer'))
    const { body } = await send('generic', '', { branch: 'later' })
    const state = async () => {
      const [newest] = (await box.admin('GET', `/api/signalbox/v1/projects/${project.id}/hook-deliveries`)).body
      return newest
    }
    await eventually(async () =>
      expect(await state()).toMatchObject({
        status: 'waiting',
        attempts: 1,
        message: expect.stringContaining('answer'),
      }),
    )
    repositories.fetch = fetch
    expect(await workOnDeliveriesLeft(core)).toBe(1)
    expect(await state()).toMatchObject({ status: 'done', attempts: 2, pipeline_id: expect.any(Number) })
    await workOnDelivery(core, body.id)
    expect(await state()).toMatchObject({ attempts: 2 })

    repositories.fetch = () => Promise.reject(new SignalboxError('unavailable', 'its host does not answer'))
    await send('generic', '', { branch: 'never' })
    for (let attempt = 1; attempt <= 5; attempt++) {
      await eventually(async () => expect(await state()).toMatchObject({ attempts: attempt }))
      await eventually(async () => expect((await state()).message).not.toBeNull())
      await workOnDeliveriesLeft(core)
    }
    expect(await state()).toMatchObject({ status: 'failed', attempts: 5, pipeline_id: null })
    repositories.fetch = fetch
  })

  it('takes only the newest secret, none when it is removed, and no webhooks for what mirrors nothing', async () => {
    const address = `/api/signalbox/v1/projects/${project.id}/hook-secret`
    const old = secret
    const rotated = await box.admin('POST', address)
    expect(rotated.body).toMatchObject({
      project_id: project.id,
      urls: { github: expect.stringContaining('/hooks/github') },
    })
    secret = old
    expect((await send('generic', '', { branch: 'a' })).status).toBe(401)
    secret = rotated.body.secret
    expect((await send('generic', '', { branch: 'a' })).status).toBe(202)
    await deliveries()
    await setMirror(box.core.core, project.id, null)
    expect((await send('generic', '', { branch: 'a' })).body.detail).toBe('the project mirrors no repository')
    expect((await box.admin('DELETE', address)).status).toBe(204)
    expect((await box.admin('DELETE', address)).status).toBe(404)
    expect((await send('generic', '', { branch: 'a' })).status).toBe(401)
    expect((await box.send('POST', address)).status).toBe(401)
    const dump = JSON.stringify(await box.core.core.store.read.db.selectFrom('hook_secrets').selectAll().execute())
    expect(dump).not.toContain(secret)
  })
})
