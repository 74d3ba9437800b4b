/** What is easily got wrong against GitLab Runner, new and old, one test each; and how requests that go astray end. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readSettings } from '../../src/config/read.js'
import { inThisThread } from '../../src/core/ci-config/language.js'
import { errorCodes, SignalboxError } from '../../src/core/errors.js'
import { expireLeases } from '../../src/core/operations/expire-leases.js'
import { type Server, startServer } from '../../src/server.js'
import { toStatus } from '../../src/shim/job-router/errors.js'
import { oneJob, onePhaseInfo, realPoll, type ShimBox, startShimBox } from '../shim/support/box.js'
import { startJob, takeJob } from '../shim/support/running-job.js'
import { onBothEngines } from '../support/stores.js'
import { refusedOf } from './job-payload.js'

/** One job with everything that a runner is told. */
const everything = {
  stages: ['build', 'test'],
  variables: { GIT_DEPTH: '5', NUMBER: 7 },
  compile: { stage: 'build', script: 'make', artifacts: { paths: ['out'] } },
  full: {
    stage: 'test',
    image: {
      name: 'node:22',
      entrypoint: [''],
      pull_policy: 'if-not-present',
      docker: { platform: 'linux/amd64', user: 'node' },
    },
    services: [
      'redis:7',
      {
        name: 'postgres:16',
        alias: 'db,pg',
        command: ['postgres', '-c', 'fsync=off'],
        variables: { POSTGRES_PASSWORD: 'x' },
      },
    ],
    hooks: { pre_get_sources_script: ['date'] },
    before_script: ['one'],
    script: ['two', 'three'],
    after_script: ['four'],
    cache: [
      { key: 'npm', paths: ['.npm'], policy: 'pull', when: 'always', fallback_keys: ['main'] },
      { key: { files: ['package-lock.json'] }, untracked: true },
    ],
    artifacts: {
      name: 'build-$CI_JOB_NAME',
      paths: ['dist'],
      exclude: ['dist/**/*.map'],
      untracked: true,
      expire_in: '1 week',
      when: 'always',
      reports: {
        junit: 'j.xml',
        dotenv: 'a.env',
        codequality: 'c.json',
        coverage_report: { coverage_format: 'cobertura', path: 'x' },
      },
    },
    timeout: '10 minutes',
    allow_failure: { exit_codes: [3] },
    retry: 2,
    release: { tag_name: 'v1', description: 'One' },
  },
}

const lastUpdate = (answer: { headers: Headers }) => answer.headers.get('x-gitlab-last-update')

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const projectRunner = async (projectId: number): Promise<string> => {
    const json = { runner_type: 'project_type', project_id: projectId }
    return (await box.admin('POST', '/user/runners', { json })).body.token
  }

  // 18, initial metadata instead of trailers, is in job-router.test.ts, which sees both.
  describe('the pitfalls', () => {
    it('1: a part of a log is answered 202', async () => {
      expect((await (await startJob(box)).patch('0-0', 'x')).status).toBe(202)
    })

    it('2: Range of 416 is the number of bytes stored', async () => {
      const job = await startJob(box)
      await job.patch('0-9', '0123456789')
      expect((await job.patch('0-9', '0123456789')).headers.get('range')).toBe('0-10')
    })

    it('3: an upload, a registration and a reset are answered 201', async () => {
      expect((await (await startJob(box)).upload('x')).status).toBe(201)
      const { body } = await box.admin('POST', '/runners/reset_registration_token')
      const made = await box.send('POST', '/runners', { json: { token: body.token } })
      expect(made.status).toBe(201)
      const reset = await box.send('POST', '/runners/reset_authentication_token', { json: { token: made.body.token } })
      expect([reset.status, reset.body.token.slice(0, 6)]).toEqual([201, 'glrtr-'])
    })

    it('4 and 5: a job is JSON of exactly the types that the runner decodes', async () => {
      const { project } = await box.run(everything, 'pitfalls/payload')
      const token = await projectRunner(project.id)
      const features = [
        ...Object.keys(realPoll.info.features),
        'artifacts_exclude',
        'multi_build_steps',
        'fallback_cache_keys',
      ]
      const info = {
        ...realPoll.info,
        features: Object.fromEntries(
          [
            ...features,
            'image',
            'services',
            'service_variables',
            'image_executor_opts',
            'service_multiple_aliases',
          ].map((name) => [name, true]),
        ),
      }
      const compile = await takeJob(box, project.id, token, { info })
      await compile.upload('zip')
      await compile.put({ state: 'success' })
      const answer = await box.poll(token, { info })
      expect(answer.headers.get('content-type')).toBe('application/json')
      const job = answer.body
      expect(refusedOf(job)).toEqual([])
      expect(job).not.toHaveProperty('run')
      expect(job.steps.map((step: { name: string }) => step.name)).toEqual(['script', 'release', 'after_script'])
      expect(job.steps[0].script).toEqual(['one', 'two', 'three'])
      expect(job).toMatchObject({
        runner_info: { timeout: 600 },
        git_info: { depth: 5 },
        image: { name: 'node:22', entrypoint: [''], pull_policy: ['if-not-present'] },
        services: [
          { name: 'redis:7' },
          { name: 'postgres:16', alias: 'db,pg', variables: [{ key: 'POSTGRES_PASSWORD' }] },
        ],
        hooks: [{ name: 'pre_get_sources_script', script: ['date'] }],
        dependencies: [{ name: 'compile', token: job.token, artifacts_file: { filename: 'artifacts.zip', size: 3 } }],
      })
      const types = job.artifacts.map((one: { artifact_type: string }) => one.artifact_type)
      expect(types.sort()).toEqual(['archive', 'cobertura', 'codequality', 'dotenv', 'junit'])
      const reports = job.artifacts.filter((one: { artifact_type: string }) => one.artifact_type !== 'archive')
      expect(reports.every((one: { when: string }) => one.when === 'always')).toBe(true)
      const numbers = job.variables.filter((one: { key: string }) => one.key === 'NUMBER')
      expect(numbers).toMatchObject([{ value: '7' }])
    })

    it('5: steps travel as a text, and no script beside them', async () => {
      const { project } = await box.run({ steps: { run: [{ name: 'hi', script: 'echo hi' }] } }, 'pitfalls/steps')
      const { body } = await box.poll(await projectRunner(project.id))
      expect(refusedOf(body)).toEqual([])
      expect(JSON.parse(body.run)).toMatchObject([{ name: 'hi', script: 'echo hi' }])
      expect(body.steps).toEqual([])
    })

    it('6: a paused runner is answered 204, and too many polls 429, which is healthy; 403 is for unknown tokens', async () => {
      const token = await box.runnerToken({ paused: true })
      for (let i = 0; i < 5; i++) expect((await box.poll(token)).status).toBe(204)
      expect((await box.poll('glrt-t1_unknown')).status).toBe(403)
      await using own = await startShimBox(engine, { rates: { polls: { perSecond: 1, burst: 3 } } })
      const eager = await own.runnerToken()
      const patient = await own.runnerToken()
      const statuses: number[] = []
      for (let i = 0; i < 5; i++) statuses.push((await own.poll(eager)).status)
      expect(statuses).toEqual([204, 204, 204, 429, 429])
      const refused = await own.poll(eager)
      expect(refused.headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
      expect((await own.poll(patient)).status).toBe(204)
      own.core.clock.advance(Number(refused.headers.get('retry-after')) * 1000)
      expect((await own.poll(eager)).status).toBe(204)
    })

    it('7: a job is taken back at its acknowledgement by 403 and Job-Status: canceled', async () => {
      const job = await startJob(box)
      await box.admin('POST', `/projects/${job.projectId}/jobs/${job.id}/cancel`)
      const ack = await job.put({ state: 'running' })
      expect([ack.status, ack.headers.get('job-status')]).toEqual([403, 'canceled'])
    })

    it('8: bodies on DELETE count, and the body null is none', async () => {
      const token = await box.runnerToken()
      const { id } = (await box.send('POST', '/runners/verify', { json: { token } })).body
      expect((await box.admin('POST', `/runners/${id}/reset_authentication_token`, { json: null })).status).toBe(201)
      const other = await box.runnerToken()
      expect((await box.send('DELETE', '/runners', { json: { token: other } })).status).toBe(204)
    })

    it('9 and 19: after an abort a runner comes twice more and hears 403 with Job-Status, never 412', async () => {
      const job = await startJob(box)
      await job.put({ state: 'running' })
      await job.patch('0-3', 'four')
      await box.admin('POST', `/projects/${job.projectId}/jobs/${job.id}/cancel`)
      await box.admin('POST', `/projects/${job.projectId}/jobs/${job.id}/cancel`, { json: { force: true } })
      const report = { state: 'failed', output: { checksum: 'crc32:00000000', bytesize: 99 } }
      for (const answer of [await job.patch('4-4', 'x'), await job.put(report), await job.put(report)]) {
        expect([answer.status, answer.headers.get('job-status')]).toEqual([403, 'canceled'])
      }
      const other = await startJob(box)
      expect((await other.put({ state: 'success', output: { checksum: 'crc32:12345678', bytesize: 5 } })).status).toBe(
        200,
      )
    })

    it('10: a job that is being canceled ends as canceled, whatever the runner calls it', async () => {
      const job = await startJob(box)
      await job.put({ state: 'running' })
      await box.admin('POST', `/projects/${job.projectId}/jobs/${job.id}/cancel`)
      await job.put({ state: 'failed', failure_reason: 'unknown_failure' })
      expect(await job.status()).toBe('canceled')
    })

    it('11 and 12: no variable of the runner’s own is sent, and the commit is a whole one', async () => {
      const { project } = await box.run(oneJob, 'pitfalls/variables')
      const token = await projectRunner(project.id)
      const { body } = await box.poll(token)
      const keys = body.variables.map((one: { key: string }) => one.key)
      for (const own of [
        'CI_PROJECT_DIR',
        'CI_BUILDS_DIR',
        'CI_JOB_STATUS',
        'CI_CONCURRENT_ID',
        'CI_CONCURRENT_PROJECT_ID',
      ]) {
        expect(keys).not.toContain(own)
      }
      expect(body.git_info.sha).toMatch(/^[0-9a-f]{40}$/)
    })

    it('15: a dependency always names its file, and one without archive is left out', async () => {
      const config = {
        stages: ['build', 'test'],
        a: { stage: 'build', script: 'x' },
        b: { stage: 'build', script: 'x' },
        c: { stage: 'test', script: 'x' },
      }
      const a = await startJob(box, { config })
      const b = await takeJob(box, a.projectId, a.runnerToken)
      await a.upload('zip', { filename: 'a.zip' })
      for (const job of [a, b]) await job.put({ state: 'success' })
      const { body } = await box.poll(a.runnerToken)
      expect(body.dependencies).toMatchObject([{ id: a.id, artifacts_file: { filename: 'a.zip', size: 3 } }])
    })

    it('16: the router forgives whatever asking again may mend', () => {
      const unavailable = 14
      for (const code of ['internal', 'unavailable', 'rate_limited', 'conflict'] as const) {
        expect([code, toStatus(new SignalboxError(code, 'x')).code]).toEqual([code, unavailable])
      }
      // INTERNAL and RESOURCE_EXHAUSTED make three of them an hour of silence.
      for (const code of errorCodes) expect([13, 8]).not.toContain(toStatus(new SignalboxError(code, 'x')).code)
    })

    it('20: no value of last_update is ever used twice, and it is read before the search', async () => {
      const token = await box.runnerToken()
      const seen = new Set<string>()
      let value = lastUpdate(await box.poll(token))!
      for (let i = 0; i < 5; i++) {
        expect(seen.has(value)).toBe(false)
        seen.add(value)
        await box.admin('PUT', `/runners/${(await box.send('POST', '/runners/verify', { json: { token } })).body.id}`, {
          json: { description: `round ${i}` },
        })
        value = lastUpdate(await box.poll(token, { last_update: value }))!
      }
      // Whatever comes while the queue is searched: no poll is left holding a value that is old.
      const { id } = (await box.send('POST', '/runners/verify', { json: { token } })).body
      for (let i = 0; i < 10; i++) {
        const held = box.poll(token, { last_update: value })
        await box.admin('PUT', `/runners/${id}`, { json: { description: `race ${i}` } })
        value = lastUpdate(await held)!
        expect(seen.has(value)).toBe(false)
        seen.add(value)
      }
      const racing = await box.core.project(oneJob, `pitfalls/race-${engine}`)
      for (let i = 0; i < 5; i++) {
        value = lastUpdate(await box.poll(token, { info: onePhaseInfo }))!
        const held = box.poll(token, { last_update: value, info: onePhaseInfo })
        await box.core.pipeline(racing)
        const { status, body } = await held
        expect(status).toBe(201)
        await box.send('PUT', `/jobs/${body.id}`, { json: { token: body.token, state: 'success' } })
      }
      await using other = await startShimBox(engine)
      const sameRunnerElsewhere = lastUpdate(await other.poll(await other.runnerToken()))!
      expect(seen.has(sameRunnerElsewhere)).toBe(false)
    })
  })

  describe('requests that go astray', () => {
    it('a lost 201: the job keeps its place and goes to another manager after 30 s; the fifth time it fails', async () => {
      await using own = await startShimBox(engine)
      await own.run({ first: { script: 'x' }, second: { script: 'x' } })
      const token = await own.runnerToken()
      const ids: number[] = []
      for (let i = 0; i < 5; i++) {
        const { body } = await own.poll(token, { system_id: `s_${i}` })
        ids.push(body.id)
        own.core.clock.advance(30_000)
        await expireLeases(own.core.core)
      }
      expect(new Set(ids).size).toBe(1)
      expect(await own.job(ids[0]!)).toMatchObject({ status: 'failed', failure_reason: 'runner_provisioning_timeout' })
      expect((await own.poll(token, { system_id: 's_9' })).body.job_info.name).toBe('second')
    })

    it('a repeated request under one id, even while the first is under way, gets one lease', async () => {
      await using own = await startShimBox(engine)
      await own.run({ a: { script: 'x' }, b: { script: 'x' } })
      const token = await own.runnerToken()
      const headers = { 'X-Request-Id': 'd'.repeat(32) }
      const answers = await Promise.all(
        [1, 2, 3].map(() => own.poll(token, {}, { headers, json: { ...realPoll, token } })),
      )
      expect(answers.map(({ status }) => status)).toEqual([201, 201, 201])
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
      expect(await own.leases(answers[0]!.body.id)).toHaveLength(1)
    })

    it('two parallel polls of one manager get two jobs, never one twice', async () => {
      await using own = await startShimBox(engine)
      await own.run({ a: { script: 'x' }, b: { script: 'x' } })
      const token = await own.runnerToken()
      const answers = await Promise.all([own.poll(token), own.poll(token)])
      expect(new Set(answers.map(({ body }) => body.id)).size).toBe(2)
      expect((await own.poll(token)).status).toBe(204)
    })

    it('an early failed accepts and finishes in one', async () => {
      const job = await startJob(box)
      const report = { state: 'failed', failure_reason: 'runner_system_failure', exit_code: 3 }
      expect((await job.put(report)).status).toBe(200)
      const lease = (await box.leases(job.id))[0]!
      expect(lease).toMatchObject({ status: 'released', accepted_at: box.core.clock.now() })
      expect(await box.job(job.id)).toMatchObject({ status: 'failed', exit_code: 3 })
    })

    it('a late final PUT changes nothing, a repeated one is answered as the first', async () => {
      const job = await startJob(box)
      const report = { state: 'success', output: {} }
      expect((await job.put(report)).status).toBe(200)
      const before = await box.rows()
      expect((await job.put(report)).status).toBe(200)
      expect((await job.put({ state: 'failed' })).status).toBe(403)
      expect(await box.rows()).toEqual(before)
      const lost = await startJob(box, { poll: { info: onePhaseInfo } })
      box.core.clock.advance(600_000)
      await expireLeases(box.core.core)
      const ended = await box.rows()
      const late = await lost.put(report)
      expect([late.status, late.headers.get('job-status')]).toEqual([403, 'failed'])
      expect(await box.rows()).toEqual(ended)
    })
  })

  describe('an older runner', () => {
    /** 15.9 knows no second phase; those before it no system id, and their ranges end one too far. */
    const old = { system_id: undefined, info: { ...onePhaseInfo, version: '15.9.1' } }

    it('goes through a job', async () => {
      const job = await startJob(box, { poll: old })
      expect(await job.status()).toBe('running')
      expect((await job.patch('0-6', 'hello\n')).headers.get('range')).toBe('0-6')
      expect((await job.patch('6-12', 'world\n')).headers.get('range')).toBe('0-12')
      expect((await job.patch('6-12', 'world\n')).status).toBe(416)
      expect((await job.put({ state: 'running', output: { bytesize: 12 } })).status).toBe(200)
      expect((await job.put({ state: 'success', output: { bytesize: 12 } })).headers.get('job-status')).toBe('success')
      expect(await box.log(job.id)).toBe('hello\nworld\n')
      expect(await box.leases(job.id)).toMatchObject([{ door: 'rest', status: 'released' }])
    })
  })
})

describe('against a whole server', () => {
  const git = promisify(execFile)
  const adminToken = 'glpat-pitfalls-admin-token'
  let folder: string
  let server: Server
  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'signalbox-pitfalls-'))
    const settings = readSettings({
      flags: { dataDir: path.join(folder, 'data'), http: '127.0.0.1:0', grpc: '127.0.0.1:0' },
      env: { SIGNALBOX_ADMIN_TOKEN: adminToken },
      cwd: folder,
    })
    const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
    server = await startServer({
      settings,
      log: quiet,
      language: inThisThread,
      fatal: (error) => {
        throw error
      },
    })
  })
  afterAll(async () => {
    await server.close()
    await rm(folder, { recursive: true })
  })

  const api = async (method: string, route: string, json?: object, headers: Record<string, string> = {}) => {
    const response = await fetch(`${server.httpUrl}/api/v4${route}`, {
      method,
      headers: { 'PRIVATE-TOKEN': adminToken, 'Content-Type': 'application/json', ...headers },
      ...(json ? { body: JSON.stringify(json) } : {}),
    })
    return { status: response.status, body: response.status === 204 ? undefined : await response.json() }
  }

  it('13 and 14: git asks for credentials, and every refspec of a job is there', async () => {
    const work = path.join(folder, 'work')
    await git('git', ['init', '-q', '-b', 'main', work])
    await writeFile(path.join(work, '.gitlab-ci.yml'), 'test:\n  script: "true"\n')
    await git('git', ['-C', work, 'add', '-A'])
    await git('git', ['-C', work, '-c', 'user.name=a', '-c', 'user.email=a@b', 'commit', '-qm', 'one'])
    const remote = server.httpUrl.replace('http://', `http://x:${adminToken}@`)
    await git('git', ['-C', work, 'push', '-q', `${remote}/root/pitfalls.git`, 'main'])
    const { token } = (await api('POST', '/user/runners', { runner_type: 'instance_type' })).body as { token: string }
    const { body: job } = (await api('POST', '/jobs/request', { ...realPoll, token })) as {
      body: { git_info: { repo_url: string; refspecs: string[]; sha: string } }
    }
    const bare = await fetch(`${server.httpUrl}/root/pitfalls.git/info/refs?service=git-upload-pack`)
    expect([bare.status, bare.headers.get('www-authenticate')]).toEqual([401, expect.stringMatching(/^Basic realm=/)])
    const clone = path.join(folder, 'clone')
    await git('git', ['init', '-q', clone])
    const { repo_url, refspecs, sha } = job.git_info
    await git('git', ['-C', clone, 'fetch', '-q', '--depth', '20', repo_url, ...refspecs])
    expect((await git('git', ['-C', clone, 'rev-parse', 'refs/pipelines/1'])).stdout.trim()).toBe(sha)
  })

  it('lets a job fetch a submodule by a relative URL, as GitLab Runner does, once its project is let in', async () => {
    const remote = server.httpUrl.replace('http://', `http://x:${adminToken}@`)
    const commit = async (name: string, ...steps: string[][]) => {
      const work = path.join(folder, name)
      await git('git', ['init', '-q', '-b', 'main', work])
      await writeFile(path.join(work, '.gitlab-ci.yml'), 'test:\n  script: "true"\n  tags: [sub]\n')
      for (const step of steps) await git('git', ['-C', work, ...step])
      await git('git', ['-C', work, 'add', '-A'])
      await git('git', ['-C', work, '-c', 'user.name=a', '-c', 'user.email=a@b', 'commit', '-qm', 'one'])
      await git('git', ['-C', work, 'push', '-q', `${remote}/root/${name}.git`, 'main'])
    }
    await commit('sub-lib')
    const lib = [
      '-c',
      `url.${remote}/.insteadOf=http://box/`,
      'submodule',
      '--quiet',
      'add',
      'http://box/root/sub-lib.git',
      'lib',
    ]
    await commit('sub-app', lib, ['config', '-f', '.gitmodules', 'submodule.lib.url', '../sub-lib.git'])
    const { id: appId } = (await api('GET', '/projects/root%2Fsub-app')).body as { id: number }
    const { id: libId } = (await api('GET', '/projects/root%2Fsub-lib')).body as { id: number }
    const runner = { runner_type: 'project_type', project_id: appId, tag_list: ['sub'] }
    const { token } = (await api('POST', '/user/runners', runner)).body as { token: string }
    const { body: job } = (await api('POST', '/jobs/request', { ...realPoll, token })) as {
      body: { token: string; git_info: { repo_url: string; refspecs: string[]; sha: string } }
    }
    const clone = path.join(folder, 'sub-clone')
    await git('git', ['init', '-q', clone])
    await git('git', ['-C', clone, 'remote', 'add', 'origin', `${server.httpUrl}/root/sub-app.git`])
    const credentials = `url.${server.httpUrl.replace('http://', `http://gitlab-ci-token:${job.token}@`)}/.insteadOf`
    const login = ['-C', clone, '-c', `${credentials}=${server.httpUrl}/`]
    await git('git', [...login, 'fetch', '-q', 'origin', '--no-recurse-submodules', ...job.git_info.refspecs])
    await git('git', ['-C', clone, 'checkout', '-q', job.git_info.sha])
    const update = () =>
      git('git', [...login, 'submodule', 'update', '--init'], { env: { ...process.env, GIT_TERMINAL_PROMPT: '0' } })
    await expect(update()).rejects.toThrow(/sub-lib/)
    const letIn = await api('POST', `/projects/${libId}/job_token_scope/allowlist`, { target_project_id: appId })
    expect(letIn.status).toBe(201)
    await update()
    const files = await git('git', ['-C', path.join(clone, 'lib'), 'ls-files'])
    expect(files.stdout.trim()).toBe('.gitlab-ci.yml')
  })

  it('says that streams need an upgrade', async () => {
    for (const path of ['/runner/v1/stream', '/runner/v1/router']) {
      const answer = await fetch(server.httpUrl + path)
      expect([answer.status, answer.headers.get('upgrade')]).toEqual([426, 'websocket'])
      expect(await answer.text()).toContain('WebSocket')
    }
  })

  it('17: discovery is there as soon as requests are answered', async () => {
    const { token } = (await api('POST', '/user/runners', { runner_type: 'instance_type' })).body as { token: string }
    const found = await api('GET', '/runners/router/discovery', undefined, { 'RUNNER-TOKEN': token })
    expect(found).toEqual({
      status: 200,
      body: { server_url: `${server.httpUrl.replace('http', 'ws')}/runner/v1/router` },
    })
  })
})
