/** A coordinator, a runner and a push, all by the commands that a team types. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it, vi } from 'vitest'
import { some } from '../support/long.js'
import { Coordinator, git, program, signalbox } from '../support/processes.js'

// Each test starts a dozen processes, and other tests run beside it.
vi.setConfig({ testTimeout: 180_000 })

const waitFor = (file: string) => `while [ ! -e '${file}' ]; do sleep 0.05; done`

/** A project whose pipeline is held until a file is there; one job passes, one is named to fail, one is manual. */
async function held(box: Coordinator, extra: Record<string, unknown> = {}) {
  const gate = path.join(box.folder, 'gate')
  const folder = await box.repository('team/app', {
    '.gitlab-ci.yml': JSON.stringify({
      stages: ['one', 'two'],
      first: { stage: 'one', script: ['echo begun', waitFor(gate), 'echo "said $WORD"'] },
      second: { stage: 'two', script: 'exit $CODE' },
      ...extra,
    }),
  })
  return { folder, open: () => writeFileSync(gate, '') }
}

const json = async (box: Coordinator, ...args: string[]) => {
  const { code, stdout, stderr } = await box.signalbox(...args, '--json')
  expect(code, stderr).toBe(0)
  return JSON.parse(stdout)
}

it('goes from an empty folder to a pushed pipeline that is watched', async () => {
  await using box = await Coordinator.start()
  const made = await box.signalbox('project', 'create', 'team/app')
  expect(made).toMatchObject({ code: 0, stdout: `${box.url}/team/app.git\n` })
  expect(await box.signalbox('project', 'create', 'team/app')).toMatchObject({ code: 5 })
  const { folder, open } = await held(box)
  const pushed = await new Promise<string>((resolve) => {
    const push = spawn('git', ['push', 'origin', 'main'], { cwd: folder })
    let said = ''
    push.stderr.on('data', (chunk) => {
      said += String(chunk)
    })
    push.once('exit', () => resolve(said))
  })
  expect(pushed).toContain('Pipeline #1 for branch main')
  // The project is that of the git remote.
  const inFolder = (...args: string[]) => signalbox(args, { cwd: folder, env: box.env })
  expect((await inFolder('pipeline', 'list')).stdout).toMatch(/^1\s+pending\s+main\s+[0-9a-f]{8}\s+push/)
  const follower = spawn(process.execPath, [program, 'job', 'log', '-f', '1'], {
    cwd: folder,
    env: { ...process.env, ...box.env },
  })
  const log = text(follower)
  await box.runner('websocket')
  await log.has('begun\n')
  open()
  const watched = await inFolder('pipeline', 'watch')
  expect(watched, watched.stderr).toMatchObject({ code: 0 })
  expect(watched.stderr).toContain('✓ success second')
  expect(watched.stderr).toContain('pipeline 1 ✓ success')
  expect(await log.end()).toContain('Job succeeded\n')
  const shown = await json(box, 'pipeline', 'show', '1')
  expect(shown).toMatchObject({ id: 1, status: 'success', jobs: [{ name: 'first' }, { name: 'second' }] })
  expect(await json(box, 'job', 'show', '2')).toMatchObject({ name: 'second', status: 'success' })
  expect(await json(box, 'project', 'list')).toMatchObject([{ path_with_namespace: 'team/app' }])
})

it('watches the pipeline of the commit that is checked out, and says which', async () => {
  await using box = await Coordinator.start()
  await box.runner('websocket')
  await box.signalbox('project', 'create', 'team/app')
  const folder = await box.repository('team/app', { '.gitlab-ci.yml': JSON.stringify({ job: { script: 'exit 0' } }) })
  const inFolder = (...args: string[]) => signalbox(args, { cwd: folder, env: box.env })
  expect(await inFolder('pipeline', 'watch')).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(/^signalbox: main \([0-9a-f]{8}\) has no pipeline here\n.*push it/),
  })
  await git(folder, 'push', '--quiet', 'origin', 'main')
  await git(folder, 'checkout', '--quiet', '-b', 'broken')
  writeFileSync(path.join(folder, '.gitlab-ci.yml'), JSON.stringify({ job: { script: 'exit 1' } }))
  await git(folder, 'commit', '--quiet', '-am', 'break it')
  // Nothing of this commit is known yet: the success of another one would be a lie.
  expect(await inFolder('pipeline', 'watch')).toMatchObject({ code: 3 })
  await git(folder, 'push', '--quiet', 'origin', 'broken')
  const watched = await inFolder('pipeline', 'watch', '--timeout', '60s')
  expect(watched).toMatchObject({ code: 1, stderr: expect.stringMatching(/^watching pipeline 2 of broken \(/) })
  await git(folder, 'checkout', '--quiet', 'main')
  expect(await inFolder('pipeline', 'watch', '--timeout', '60s')).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/^watching pipeline 1 of main \(/),
  })
  // Outside a clone the newest of all is meant, whatever its branch.
  const outside = await box.signalbox('pipeline', 'watch', '--project', 'team/app', '--timeout', '60s')
  expect(outside).toMatchObject({ code: 1, stderr: expect.stringContaining('watching pipeline 2 of broken') })
})

it('gives the exit code of the pipeline, and retries what failed', async () => {
  await using box = await Coordinator.start()
  await box.runner('websocket')
  const { folder, open } = await held(box)
  open()
  await git(folder, 'push', '--quiet', '--push-option', 'ci.no_pipeline', 'origin', 'main')
  expect(await json(box, 'pipeline', 'list', '--project', 'team/app')).toEqual([])
  const run = ['pipeline', 'run', '--project', 'team/app', '--ref', 'main', '--watch']
  const failed = await box.signalbox(...run, '--var', 'CODE=7', '--var', 'WORD=there')
  expect(failed.code).toBe(1)
  expect(failed.stderr).toMatch(/✗ failed second \S+ The script ended with exit code 7/)
  const [{ id }] = await json(box, 'pipeline', 'list', '--project', 'team/app', '--status', 'failed')
  const { jobs } = await json(box, 'pipeline', 'show', String(id))
  expect(jobs).toMatchObject([
    { name: 'first', status: 'success' },
    { name: 'second', status: 'failed', failure_reason: 'script_failure' },
  ])
  expect((await box.signalbox('job', 'log', String(jobs[0].id))).stdout).toContain('said there')
  expect(await box.signalbox('pipeline', 'retry', String(id))).toMatchObject({ code: 0 })
  expect(await box.signalbox('pipeline', 'watch', String(id), '--timeout', '60s')).toMatchObject({ code: 1 })
  const again = await json(box, 'job', 'retry', String((await latest(box, id, 'second')).id))
  expect(again).toMatchObject({ name: 'second', status: 'pending' })
  expect((await box.signalbox(...run)).code).toBe(0)

  async function latest(on: Coordinator, pipelineId: number, name: string) {
    const { jobs: all } = await json(on, 'pipeline', 'show', String(pipelineId))
    return all.filter((job: { name: string }) => job.name === name).at(-1)
  }
})

it('cancels a job and a pipeline, and stops watching without harm', async () => {
  await using box = await Coordinator.start()
  await box.runner('grpc', ['--concurrency', '2'])
  const { folder } = await held(box, {
    other: { stage: 'one', script: ['echo begun', waitFor('/never')] },
    later: { stage: 'two', when: 'manual', script: 'true' },
  })
  await git(folder, 'push', '--quiet', 'origin', 'main')
  const log = text(spawn(process.execPath, [program, 'job', 'log', '-f', '2'], { env: { ...process.env, ...box.env } }))
  await log.has('begun\n')
  const timedOut = await box.signalbox('pipeline', 'watch', '1', '--timeout', '1s')
  expect(timedOut).toMatchObject({ code: 124 })
  expect(timedOut.stderr).toContain('pipeline 1 is still running')
  const watcher = spawn(process.execPath, [program, 'pipeline', 'watch', '1'], { env: { ...process.env, ...box.env } })
  const saw = text(watcher, watcher.stderr)
  await saw.has('running')
  watcher.kill('SIGINT')
  expect(await saw.end()).toContain('to cancel it: signalbox pipeline cancel 1')
  expect(watcher.exitCode).toBe(130)
  expect((await box.signalbox('job', 'cancel', '2')).code).toBe(0)
  expect(await log.end()).toMatch(/cancel/i)
  expect(await json(box, 'job', 'show', '2')).toMatchObject({ status: 'canceled' })
  expect((await box.signalbox('pipeline', 'cancel', '1')).code).toBe(0)
  expect(await box.signalbox('pipeline', 'watch', '1', '--timeout', '60s')).toMatchObject({ code: 1 })
  const { jobs } = await json(box, 'pipeline', 'show', '1')
  expect(jobs.map((job: { name: string; status: string }) => [job.name, job.status])).toEqual([
    ['first', 'canceled'],
    ['other', 'canceled'],
    ['second', 'canceled'],
    ['later', 'canceled'],
  ])
})

it('pauses, resumes and deletes a runner', async () => {
  await using box = await Coordinator.start()
  const runner = await box.runner('poll')
  const { folder, open } = await held(box)
  open()
  expect((await box.signalbox('runner', 'pause', '1')).code).toBe(0)
  expect((await box.signalbox('runner', 'list')).stdout).toMatch(/^1\s+paused\s+instance\s+poll/)
  await git(folder, 'push', '--quiet', 'origin', 'main')
  expect((await box.signalbox('job', 'why', '1')).stdout).toContain('is paused')
  const resumed = Date.now()
  expect((await box.signalbox('runner', 'resume', '1')).code).toBe(0)
  expect(await box.signalbox('pipeline', 'watch', '1', '--timeout', '90s')).toMatchObject({ code: 0 })
  expect(await json(box, 'runner', 'show', '1')).toMatchObject({ id: 1, paused: false, runner_type: 'instance_type' })
  const events: { kind: string; at: string }[] = await json(box, 'inspect', 'job', '1')
  const leased = events.find((event) => event.kind === 'job.leased')!
  expect(Date.parse(leased.at)).toBeGreaterThanOrEqual(resumed)
  expect(await box.signalbox('runner', 'drain', '1')).toMatchObject({ code: 0 })
  expect(await json(box, 'runner', 'show', '1')).toMatchObject({ paused: true })
  const gone = new Promise((resolve) => runner.once('exit', resolve))
  expect((await box.signalbox('runner', 'delete', '1')).code).toBe(0)
  expect((await box.signalbox('runner', 'show', '1')).code).toBe(3)
  expect(await gone).not.toBe(0)
})

it('prints a job’s token for a curl walk-through, to administrators', async () => {
  await using box = await Coordinator.start()
  const { folder } = await held(box)
  await git(folder, 'push', '--quiet', 'origin', 'main')
  for (const wrong of ['x', '9999'])
    expect(await box.signalbox('job', 'priority', '1', wrong)).not.toMatchObject({ code: 0 })
  expect(await box.signalbox('job', 'priority', '1', '5')).toMatchObject({ code: 0 })
  const { stdout } = await box.signalbox('runner', 'create')
  const poll = await fetch(`${box.url}/api/v4/jobs/request`, {
    method: 'POST',
    body: new URLSearchParams({ token: stdout.trim() }),
  })
  expect(poll.status).toBe(201)
  const { id, token } = (await poll.json()) as { id: number; token: string }
  expect(await box.signalbox('job', 'token', String(id))).toMatchObject({ code: 0, stdout: `${token}\n` })
})

it('lists, runs, pauses and resumes background tasks', async () => {
  await using box = await Coordinator.start()
  const tasks = await json(box, 'task', 'list')
  expect(tasks.map((task: { name: string }) => task.name)).toContain('expire_leases')
  expect((await box.signalbox('task', 'run', 'expire_leases')).code).toBe(0)
  expect((await box.signalbox('task', 'pause', 'expire_leases')).code).toBe(0)
  expect((await box.signalbox('task', 'list')).stdout).toMatch(/^expire_leases\s+paused/m)
  expect((await box.signalbox('task', 'resume', 'expire_leases')).code).toBe(0)
  expect((await box.signalbox('task', 'list')).stdout).toMatch(/^expire_leases\s+active/m)
  expect(await box.signalbox('task', 'run', 'nothing')).toMatchObject({ code: 3 })
})

it('answers what is not right with an exit code and a sentence', async () => {
  await using box = await Coordinator.start()
  const cases: [args: string[], code: number, said: string][] = [
    [['pipeline', 'show', '99'], 3, 'no pipeline 99'],
    [['job', 'show', '99'], 3, 'no job 99'],
    [['job', 'log', 'x'], 2, 'x is not the id of a job'],
    [['pipeline', 'watch', '1', '--timeout', 'soon'], 2, 'soon is not a duration'],
    [['pipeline', 'run'], 2, '--ref'],
    [['runner', 'create', '--project', 'no/such'], 3, ''],
    [['project', 'create', '../x'], 2, ''],
    [['pipeline', 'lsit'], 2, 'list'],
  ]
  for (const [args, code, said] of cases) {
    const done = await box.signalbox(...args)
    expect(done, args.join(' ')).toMatchObject({ code, stdout: '' })
    expect(done.stderr).toContain(said)
  }
  const wrong = await signalbox(['project', 'list'], { env: { ...box.env, SIGNALBOX_TOKEN: 'glpat-wrong' } })
  expect(wrong.code).toBe(4)
  const nowhere = { SIGNALBOX_URL: 'http://127.0.0.1:1', SIGNALBOX_TOKEN: 'x' }
  const nobody = await signalbox(['project', 'list'], { env: nowhere })
  expect(nobody).toMatchObject({ code: 6 })
  expect(nobody.stderr).toContain('http://127.0.0.1:1')
})

it.concurrent.each(some(1, ['kill', 'stop'] as const))(
  'goes on following when the coordinator is back (%s)',
  async (way) => {
    await using box = await Coordinator.start()
    await box.runner('websocket')
    const { folder, open } = await held(box)
    await git(folder, 'push', '--quiet', 'origin', 'main')
    const options = { env: { ...process.env, ...box.env } }
    const log = spawn(process.execPath, [program, 'job', 'log', '-f', '1'], options)
    const watcher = spawn(process.execPath, [program, 'pipeline', 'watch', '1'], options)
    const [logged, watched, remarks] = [text(log), text(watcher, watcher.stderr), text(log, log.stderr)]
    await logged.has('begun\n')
    await watched.has('running')
    const asked = performance.now()
    const ended = await box[way]()
    if (way === 'stop') {
      expect(ended).toBe(0)
      expect(performance.now() - asked).toBeLessThan(10_000)
    }
    await Promise.all([remarks.has('has gone'), watched.has('has gone')])
    await box.up()
    open()
    const [said, states] = await Promise.all([logged.end(), watched.end()])
    expect(said.match(/^begun$/gm)).toHaveLength(1)
    expect(said).toContain('Job succeeded\n')
    expect(states).toContain('pipeline 1 ✓ success')
    expect([log.exitCode, watcher.exitCode]).toEqual([0, 0])
  },
)

it('does not start where it cannot, and says why', async () => {
  await using box = await Coordinator.start()
  const free = '127.0.0.1:0'
  const taken = (url: string) => url.replace(/^\w+:\/\//, '')
  const broken = path.join(box.folder, 'broken')
  mkdirSync(broken)
  writeFileSync(path.join(broken, 'signalbox.db'), 'this is no database, however long it is looked at '.repeat(99))
  const cases: [http: string, grpc: string, more: string[], said: string][] = [
    [taken(box.url), free, [], 'EADDRINUSE'],
    [free, taken(box.grpcUrl), [], 'EADDRINUSE'],
    [free, free, ['--ready-file', path.join(box.folder, 'no', 'such')], '--ready-file'],
    [free, free, ['--data-dir', path.join(box.dataDir, 'admin-token')], '--data-dir'],
    [free, free, ['--data-dir', broken], 'signalbox.db cannot be used'],
  ]
  for (const [http, grpc, more, said] of cases) {
    const dataDir = path.join(box.folder, 'other')
    const done = await signalbox(['serve', '--data-dir', dataDir, '--http', http, '--grpc', grpc, ...more])
    expect(done, said).toMatchObject({ code: 2, stdout: '' })
    expect(done.stderr).toContain(said)
  }
})

it('is examined by the doctor', async () => {
  await using box = await Coordinator.start()
  const found = await json(box, 'doctor')
  expect(JSON.stringify(found)).toContain('is ready')
  expect(existsSync(path.join(box.dataDir, 'signalbox.db'))).toBe(true)
  expect(readFileSync(path.join(box.dataDir, 'admin-token'), 'utf8').trim()).toBe(box.token)
})

/** What a process prints, and waiting for a part of it. */
function text(child: ChildProcess, from = child.stdout!) {
  let said = ''
  let look = () => {}
  from.on('data', (chunk) => {
    said += String(chunk)
    look()
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  return {
    has: (part: string) =>
      new Promise<void>((resolve, reject) => {
        look = () => said.includes(part) && resolve()
        look()
        void ended.then(() => reject(new Error(`ended without ${JSON.stringify(part)}: ${said}`)))
      }),
    end: () => ended.then(() => said),
  }
}
