/**
 * Repositories on a forge: connecting them, and what their commits show. GitHub is a double that is held to GitHub's own
 * description of its API; the mirrored repository is one in memory, and the clock is moved by hand.
 */
import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ForgeClients } from '../../src/forges/forge-clients.js'
import { ForgeReporter } from '../../src/forges/reporter.js'
import { type ShimBox, startShimBox, until } from '../shim/support/box.js'
import { onBothEngines } from '../support/stores.js'
import { GitHubDouble } from './support/github.js'

const minute = 60_000
const hour = 60 * minute

onBothEngines((engine) => {
  let box: ShimBox
  let forge: GitHubDouble
  let reporter: ForgeReporter
  let id: number
  let runner: string
  let deliveries = 0

  beforeAll(async () => {
    forge = await new GitHubDouble().start()
    box = await startShimBox(engine)
    const { core } = box.core
    const now = () => core.clock.now()
    Object.assign(core, { forges: new ForgeClients({ hosts: [forge.host], now }) })
    reporter = new ForgeReporter(core)
    await reporter.start()
    runner = await box.runnerToken()
  })
  afterAll(async () => {
    await reporter.close()
    await box[Symbol.asyncDispose]()
    await forge[Symbol.asyncDispose]()
  })

  /** Moves the clock until this holds. */
  const eventually = (holds: () => boolean | Promise<boolean>) =>
    until(async () => {
      box.core.clock.advance(50)
      return holds()
    })
  const api = (method: string, path: string, json?: object) =>
    box.admin(method, `/api/signalbox/v1${path}`, json ? { json } : {})
  const connect = (more: object = {}) =>
    api('POST', '/connections', { url: `${forge.url}/acme/app.git`, kind: 'github', forge_token: forge.token, ...more })
  const connection = async () => (await api('GET', `/projects/${id}/connection`)).body
  const shown = (sha: string) => forge.told.filter((one) => one.sha === sha)
  const wanted = async (sha: string) =>
    (await api('GET', `/projects/${id}/connection/statuses?per_page=100`)).body.filter(
      (one: { sha: string }) => one.sha === sha,
    )

  /** The forge tells of a push; gives its commit. */
  async function push(config: object = { test: { script: 'x' } }): Promise<string> {
    box.core.configure({ id } as never, config)
    const { sha } = box.core.repositories
    const body = JSON.stringify({ ref: 'refs/heads/main', before: '0'.repeat(40), after: sha })
    const { config: hook } = forge.hooks.get(String(forge.lastHook))
    const answer = await box.send('POST', `/api/signalbox/v1/projects/${id}/hooks/github`, {
      body,
      headers: {
        'Content-Type': 'application/json',
        'X-GitHub-Event': 'push',
        'X-GitHub-Delivery': `delivery-${++deliveries}`,
        'X-Hub-Signature-256': `sha256=${createHmac('sha256', hook.secret).update(body).digest('hex')}`,
      },
    })
    expect(answer.status).toBe(202)
    return sha
  }

  /** What the runner is given next; jobs of mirrored projects take a moment to be ready. */
  async function nextJob(): Promise<{ id: number; token: string }> {
    let answer = await box.poll(runner)
    await eventually(async () => {
      if (answer.status !== 201) answer = await box.poll(runner)
      return answer.status === 201
    })
    // Accepted at once: an offer is void after a while, and the clock goes on.
    await box.send('PUT', `/jobs/${answer.body.id}`, { json: { token: answer.body.token, state: 'running' } })
    return answer.body
  }

  async function finish(state: 'success' | 'failed'): Promise<void> {
    const job = await nextJob()
    await box.send('PUT', `/jobs/${job.id}`, {
      json: {
        token: job.token,
        state,
        ...(state === 'failed' ? { failure_reason: 'script_failure', exit_code: 3 } : {}),
      },
    })
  }
  const pipelineOf = async (sha: string) => (await box.admin('GET', `/projects/${id}/pipelines?sha=${sha}`)).body[0]

  it('are not connected by a token that may not, and what it lacks is named', async () => {
    for (const url of [
      'acme/app',
      `${forge.url}/acme`,
      'https://u:p@github.com/a/b',
      'ftp://github.com/a/b',
      `${forge.url}/a/b?c`,
    ]) {
      const answer = await connect({ url })
      expect([url, answer.status]).toEqual([url, 400])
      expect(answer.body.detail).toMatch(/^url /)
    }
    expect((await connect({ url: 'http://example.com/a/b' })).body.detail).toContain('https')
    expect((await connect({ forge_token: 'wrong' })).body.detail).toContain('401: Bad credentials')
    expect((await connect({ forge_token: 'two words' })).status).toBe(400)
    forge.rights.clear()
    const { status, body } = await connect()
    expect(status).toBe(400)
    for (const right of ['Contents: read', 'Webhooks: read and write', 'Commit statuses: read and write']) {
      expect(body.detail).toContain(right)
    }
    expect(forge.hooks.size).toBe(0)
    expect((await box.admin('GET', '/projects')).body).toEqual([])
    // A forge that goes away on the way leaves nothing either.
    forge.rights = new Set(['code', 'hooks', 'statuses'])
    forge.moods = []
    const answers = forge.answer.bind(forge)
    forge.answer = (asked) => (asked.path.includes('/hooks?per_page=100') ? { status: 502 } : answers(asked))
    expect((await connect()).status).toBe(503)
    expect((await box.admin('GET', '/projects')).body).toEqual([])
    forge.answer = answers
  })

  it('become projects in one step, whose token is shown nowhere', async () => {
    const { status, body } = await connect()
    expect(status).toBe(201)
    id = body.project_id
    expect(body).toMatchObject({
      path_with_namespace: 'acme/app',
      kind: 'github',
      url: `${forge.url}/acme/app`,
      forks: 'approve',
    })
    expect(forge.hooks.get('1')).toMatchObject({
      active: true,
      events: ['push', 'pull_request'],
      config: { url: `http://box.test/api/signalbox/v1/projects/${id}/hooks/github`, content_type: 'json' },
    })
    expect((await box.admin('GET', `/projects/${id}/mirror/pull`)).body.url).not.toContain(forge.token)
    const { db } = box.core.core.store.read
    const rows = [
      await db.selectFrom('forge_connections').selectAll().execute(),
      await db.selectFrom('project_mirrors').selectAll().execute(),
      await db.selectFrom('events').selectAll().execute(),
      await db.selectFrom('audit_entries').selectAll().execute(),
      box.core.logged,
    ]
    expect(JSON.stringify(rows)).not.toContain(forge.token)
    expect(JSON.stringify(rows[3])).toContain(`${forge.url}/acme/app`)
    // Once more is the same, and a repository is connected once.
    expect((await connect()).status).toBe(200)
    expect(forge.hooks.size).toBe(1)
    expect((await connect({ path: 'acme/other' })).status).toBe(409)
    await box.core.project({ test: { script: 'x' } }, 'acme/hosted')
    expect((await connect({ path: 'acme/hosted' })).status).toBe(409)
  })

  it('show on the commit that it runs, and how it went', async () => {
    const sha = await push()
    await eventually(() => shown(sha).length > 0)
    const pipeline = await pipelineOf(sha)
    expect(shown(sha)[0]).toEqual({
      ...{ sha, state: 'pending', context: 'signalbox/push' },
      description: expect.stringMatching(`^Pipeline #${pipeline.id} is (preparing|pending)$`),
      target_url: `http://box.test/acme/app/-/pipelines/${pipeline.id}`,
    })
    await finish('failed')
    await eventually(() => shown(sha).at(-1).state === 'failure')
    expect(shown(sha).at(-1).description).toBe('test: A command of the job’s script ended with an error.')
    const broken = await push({ test: { script: 'x', stage: 'nowhere' } })
    await eventually(() => shown(broken).length > 0)
    expect(shown(broken)).toMatchObject([{ state: 'failure', description: expect.stringContaining('nowhere') }])
  })

  it('show the newest pipeline of a commit, whatever comes of older ones', async () => {
    const sha = await push()
    await eventually(() => shown(sha).length > 0)
    const older = await pipelineOf(sha)
    const first = await nextJob()
    const newer = await box.core.pipeline({ id } as never, { ref: 'main', source: 'web' })
    await finish('success')
    await eventually(() => shown(sha).at(-1).state === 'success')
    await box.send('PUT', `/jobs/${first.id}`, { json: { token: first.token, state: 'failed' } })
    await eventually(async () => (await pipelineOf(sha)).id === newer.id)
    expect((await box.admin('GET', `/projects/${id}/pipelines/${older.id}`)).body.status).toBe('failed')
    const next = await push()
    await eventually(() => shown(next).length > 0)
    expect(shown(sha).at(-1)).toMatchObject({ state: 'success', target_url: expect.stringContaining(`/${newer.id}`) })
    await finish('success')
  })

  it('are told once, in the last state, when the forge was away for an hour', async () => {
    forge.away = true
    const sha = await push()
    await eventually(async () => (await wanted(sha)).some((one: { attempts: number }) => one.attempts > 0))
    await finish('failed')
    await eventually(async () => (await wanted(sha))[0].state === 'failed')
    const tries = forge.asked.length
    for (let i = 0; i < 60; i++) {
      box.core.clock.advance(minute)
      await eventually(() => true)
    }
    expect(forge.asked.length - tries).toBeLessThan(40)
    expect((await connection()).error).toContain('could not be asked')
    forge.away = false
    box.core.clock.advance(5 * minute)
    await eventually(() => shown(sha).length > 0)
    await eventually(async () => (await wanted(sha))[0].told)
    expect(shown(sha).map((one) => one.state)).toEqual(['failure'])
    expect((await connection()).error).toBeNull()
  })

  it.each([
    ['Retry-After', { status: 429, headers: { 'retry-after': '600' } }],
    ['a secondary limit', { status: 403, headers: { 'retry-after': '600' }, body: { message: 'slow down' } }],
    ['the second of a reset', { status: 403, headers: { 'x-ratelimit-remaining': '0' } }],
  ])('are left alone for as long as they want (%s)', async (_, mood) => {
    const reset = { 'x-ratelimit-reset': String(Math.floor(box.core.clock.now() / 1000) + 600) }
    forge.moods = [{ ...mood, headers: { ...mood.headers, ...reset } as Record<string, string> }]
    const sha = await push()
    await eventually(async () => (await connection()).paused_until !== null)
    const asked = forge.asked.length
    box.core.clock.advance(9 * minute)
    await eventually(() => true)
    expect(forge.asked.length).toBe(asked)
    box.core.clock.advance(2 * minute)
    await eventually(() => shown(sha).length === 1)
    await finish('success')
    await eventually(() => shown(sha).at(-1).state === 'success')
  })

  it('are told after a crash in the middle, and once', async () => {
    const sha = await push()
    await eventually(() => shown(sha).length > 0)
    await reporter.close()
    await finish('success')
    // Another process has taken it and has died.
    reporter = new ForgeReporter(box.core.core)
    await reporter.start()
    await eventually(async () => {
      const [one] = await wanted(sha)
      return one.told && one.state === 'success'
    })
    expect(shown(sha).filter((one) => one.state === 'success')).toHaveLength(1)
    expect(shown(sha).at(-1).state).toBe('success')
  })

  it('say so when the token loses its rights, and go on with another', async () => {
    forge.token = 'forge-token-2'
    const sha = await push()
    await eventually(async () => (await connection()).error !== null)
    expect((await connection()).error).toContain('401')
    const given = await api('PUT', `/projects/${id}/connection`, { forge_token: forge.token })
    expect(given.body).toMatchObject({ missing: [], broken: [], error: null })
    await eventually(() => shown(sha).length > 0)
    await finish('success')
    // One that lacks rights does not take the place of one that has them.
    forge.rights.delete('hooks')
    const worse = await api('PUT', `/projects/${id}/connection`, { forge_token: forge.token })
    expect(worse.body.missing).toHaveLength(1)
    forge.rights.add('hooks')
    await api('POST', `/projects/${id}/connection/check`)
  })

  it('are followed when they are renamed, and missed when they are gone', async () => {
    forge.fullName = 'acme/renamed'
    forge.cloneUrl = 'https://git.example.com/acme/renamed.git'
    const sha = await push()
    await eventually(() => shown(sha).length > 0)
    expect((await connection()).url).toBe(`${forge.url}/acme/renamed`)
    expect((await box.admin('GET', `/projects/${id}/mirror/pull`)).body.url).toContain('acme/renamed.git')
    await finish('success')
    await eventually(() => shown(sha).at(-1).state === 'success')
    forge.gone = true
    const lost = await push()
    await eventually(async () => (await connection()).error !== null)
    expect((await api('POST', `/projects/${id}/connection/check`)).body.broken).toHaveLength(1)
    forge.gone = false
    box.core.clock.advance(hour)
    await eventually(() => shown(lost).length > 0)
    await finish('success')
    await eventually(() => shown(lost).at(-1).state === 'success')
  })

  it('go on when the forge does not know a commit', async () => {
    forge.moods = [{ status: 422, body: { message: 'No commit found for SHA' } }]
    const sha = await push()
    await eventually(async () => /No commit found/.test((await wanted(sha))[0]?.message))
    expect((await connection()).error).toBeNull()
    await finish('success')
  })

  it('show each job where that is wanted', async () => {
    await api('PUT', `/projects/${id}/connection`, { job_statuses: true })
    const sha = await push()
    await eventually(() => shown(sha).some((one) => one.context === 'signalbox/push/test'))
    await finish('success')
    await eventually(() => shown(sha).filter((one) => one.state === 'success').length === 2)
    expect(shown(sha).at(-1).target_url).toMatch(/\/-\/(jobs|pipelines)\/\d+$/)
  })

  it('are mended by a check, and let go', async () => {
    forge.hooks.clear()
    const { body } = await api('POST', `/projects/${id}/connection/check`)
    expect(body).toMatchObject({ missing: [], broken: [], repaired: [expect.stringContaining('webhook')] })
    expect(forge.hooks.size).toBe(1)
    expect((await api('POST', `/projects/${id}/connection/check`)).body.repaired).toEqual([])
    const gone = await api('DELETE', `/projects/${id}/connection`)
    expect(gone.body).toEqual({ project_id: id, left: null })
    expect(forge.hooks.size).toBe(0)
    expect((await api('GET', `/projects/${id}/connection`)).status).toBe(404)
    expect((await box.admin('GET', `/projects/${id}`)).status).toBe(200)
    expect((await box.admin('GET', `/projects/${id}/mirror/pull`)).status).toBe(404)
    expect(forge.wrong).toEqual([])
  })
})
