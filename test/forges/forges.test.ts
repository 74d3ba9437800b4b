/**
 * Repositories on a forge: connecting them, and what their commits show. GitHub is a double that is held to GitHub's own
 * description of its API; the mirrored repository is one in memory, and the clock is moved by hand.
 */
import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { SignalboxError } from '../../src/core/errors.js'
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
    expect((await deliver('push', body)).status).toBe(202)
    return sha
  }

  function deliver(event: string, body: string, delivery = `delivery-${++deliveries}`) {
    const { config: hook } = forge.hooks.get(String(forge.lastHook))
    return box.send('POST', `/api/signalbox/v1/projects/${id}/hooks/github`, {
      body,
      headers: {
        'Content-Type': 'application/json',
        'X-GitHub-Event': event,
        'X-GitHub-Delivery': delivery,
        'X-Hub-Signature-256': `sha256=${createHmac('sha256', hook.secret).update(body).digest('hex')}`,
      },
    })
  }

  /** What the runner is given next; jobs of mirrored projects take a moment to be ready. */
  // biome-ignore lint/suspicious/noExplicitAny: a payload
  async function nextJob(): Promise<any> {
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
    const fetched: string[] = []
    // Git follows no redirects: the code is not where it was either.
    const fetch = async (_: unknown, { url }: { url: string }) => {
      fetched.push(url)
      if (!url.includes('renamed')) throw new SignalboxError('unavailable', 'it redirects elsewhere')
      return { head: undefined }
    }
    Object.assign(box.core.repositories, { fetch })
    const sha = await push()
    await eventually(async () => (await pipelineOf(sha)) !== undefined)
    expect(fetched[0]).not.toContain('renamed')
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

  /** The forge tells that a fork's request has this head. */
  async function forkRequest(number: number, config: object, more: object = {}): Promise<string> {
    box.core.configure({ id } as never, config)
    const { sha } = box.core.repositories
    const body = JSON.stringify({
      action: 'synchronize',
      number,
      pull_request: {
        // Named as the branch that is protected here.
        head: { ref: 'main', sha, repo: { full_name: 'eve/app' } },
        base: { ref: 'main', sha: 'b'.repeat(40), repo: { full_name: 'acme/renamed' } },
        ...more,
      },
    })
    expect((await deliver('pull_request', body)).status).toBe(202)
    return sha
  }
  const requests = async () => (await api('GET', `/projects/${id}/connection/requests`)).body
  const approve = (number: number, json: object = {}) =>
    api('POST', `/projects/${id}/connection/requests/${number}/approve`, json)

  it('run requests of forks as nobody, once a member has approved their head', async () => {
    const variable = (json: object) => box.admin('POST', `/projects/${id}/variables`, { json })
    await variable({ key: 'SECRET', value: 'hidden-value', protected: true })
    const config = {
      test: { script: 'x', cache: { key: 'c', paths: ['p'] }, id_tokens: { CLOUD: { aud: 'cloud' } } },
      other: { trigger: { project: 'acme/hosted' } },
    }
    const first = await forkRequest(7, config)
    await eventually(() => shown(first).length > 0)
    expect(shown(first)).toMatchObject([{ state: 'pending', context: 'signalbox/pull-request' }])
    expect(await pipelineOf(first)).toBeUndefined()
    const sha = await forkRequest(7, config)
    await eventually(() => shown(sha).length > 0)
    expect((await requests()).map((one: { status: string }) => one.status)).toEqual(['waiting', 'outdated'])
    // What has been looked at is not what is there now.
    expect((await approve(7, { sha: first })).status).toBe(409)
    expect((await approve(8)).status).toBe(404)
    expect(await pipelineOf(sha)).toBeUndefined()
    const both = await Promise.all([approve(7, { sha }), approve(7, { sha })])
    expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409])
    expect((await approve(7)).status).toBe(409)
    const job = await nextJob()
    expect(job.git_info).toMatchObject({ ref: 'refs/forks/7/head', sha, protected: false })
    expect(job.cache[0].key).toMatch(/-fork-7$/)
    const keys = job.variables.map((one: { key: string }) => one.key)
    expect(keys).toContain('CI_EXTERNAL_PULL_REQUEST_IID')
    for (const key of ['SECRET', 'CLOUD', 'GITLAB_USER_LOGIN', 'CI_COMMIT_BRANCH']) expect(keys).not.toContain(key)
    const pipeline = await pipelineOf(sha)
    const bridges = `/projects/${id}/pipelines/${pipeline.id}/bridges`
    await eventually(async () => (await box.admin('GET', bridges)).body[0].status === 'failed')
    // Whoever starts it once more lends it nothing.
    await box.send('PUT', `/jobs/${job.id}`, { json: { token: job.token, state: 'failed' } })
    await eventually(() => shown(sha).at(-1).state === 'failure')
    expect((await box.admin('POST', `/projects/${id}/jobs/${job.id}/retry`)).status).toBe(201)
    const again = await nextJob()
    const asJob = (method: string, path: string, json?: object) =>
      box.send(method, path, { headers: { 'JOB-TOKEN': again.token }, ...(json ? { json } : {}) })
    expect((await asJob('GET', `/projects/${id}/releases`)).status).toBe(200)
    expect((await asJob('POST', `/projects/${id}/releases`, { tag_name: 'v1' })).status).toBe(403)
    expect((await asJob('GET', '/projects/acme%2Fhosted/releases')).status).toBe(404)
    const trigger = { json: { token: again.token, ref: 'main' } }
    expect((await box.send('POST', `/projects/${id}/trigger/pipeline`, trigger)).status).toBe(404)
    await box.send('PUT', `/jobs/${again.id}`, { json: { token: again.token, state: 'success' } })
    // Nobody makes such a pipeline by the name of its ref.
    const named = { json: { ref: 'refs/forks/7/head' } }
    expect((await box.admin('POST', `/projects/${id}/pipeline`, named)).status).toBe(400)
  })

  it('run requests of forks always, or never, where the project says so', async () => {
    await api('PUT', `/projects/${id}/connection`, { forks: 'always' })
    const always = await forkRequest(9, { test: { script: 'x' } })
    await eventually(async () => (await pipelineOf(always)) !== undefined)
    expect((await pipelineOf(always)).ref).toBe('refs/forks/9/head')
    await api('PUT', `/projects/${id}/connection`, { forks: 'never' })
    const never = await forkRequest(9, { test: { script: 'x' } })
    const told = async () => (await api('GET', `/projects/${id}/hook-deliveries`)).body[0]
    await eventually(async () => (await told()).status === 'done')
    expect(await told()).toMatchObject({ pipeline_id: null, message: 'the request comes from a fork' })
    expect(shown(never)).toEqual([])
    await finish('success')
  })

  it('believe no delivery that is forged, and act once on one that comes again', async () => {
    const count = async () => (await box.admin('GET', `/projects/${id}/pipelines?per_page=100`)).body.length
    const before = await count()
    const body = JSON.stringify({ ref: 'refs/heads/main', before: '0'.repeat(40), after: box.core.repositories.sha })
    const forged = await box.send('POST', `/api/signalbox/v1/projects/${id}/hooks/github`, {
      body,
      headers: { 'X-GitHub-Event': 'push', 'X-Hub-Signature-256': `sha256=${'0'.repeat(64)}` },
    })
    expect(forged.status).toBe(401)
    expect((await deliver('push', 'x'.repeat(9 * 1024 * 1024))).status).toBe(413)
    expect(await count()).toBe(before)
    const sha = await push()
    await eventually(async () => (await pipelineOf(sha)) !== undefined)
    const again = JSON.stringify({ ref: 'refs/heads/main', before: '0'.repeat(40), after: sha })
    expect((await deliver('push', again, `delivery-${deliveries}`)).status).toBe(200)
    expect(await count()).toBe(before + 1)
    await finish('success')
    await eventually(() => shown(sha).at(-1)?.state === 'success')
  })

  it('show results of a head that was pushed over while they were under way', async () => {
    const over = await push()
    await eventually(() => shown(over).length > 0)
    const job = await nextJob()
    forge.moods = ['away']
    await box.send('PUT', `/jobs/${job.id}`, { json: { token: job.token, state: 'failed' } })
    const head = await push()
    await eventually(() => shown(head).length > 0 && shown(over).at(-1).state === 'failure')
    await finish('success')
    await eventually(() => shown(head).at(-1).state === 'success')
    expect(shown(over).at(-1).state).toBe('failure')
  })

  it('show why there is no pipeline of a commit', async () => {
    const { repositories } = box.core
    repositories.branches.set('lost', 'gone')
    const sha = 'c'.repeat(40)
    const body = JSON.stringify({ ref: 'refs/heads/lost', before: '0'.repeat(40), after: sha })
    expect((await deliver('push', body)).status).toBe(202)
    await eventually(() => shown(sha).length > 0)
    expect(shown(sha)[0]).toMatchObject({ state: 'failure', description: 'No pipeline: Reference not found' })
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
