/** The commands for the host that runners run on: register, list, verify, status, prune, import. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { heldJobs } from '../../src/runner/spool.js'
import { skipsWithoutEngine, TestEngine } from '../support/engine.js'
import { eventually } from '../support/eventually.js'
import { Coordinator, git, program, signalbox } from '../support/processes.js'

let box: Coordinator
beforeAll(async () => {
  box = await Coordinator.start()
})
afterAll(() => box[Symbol.asyncDispose]())

const makeToken = async (name: string, more: object = {}) => {
  const body = { runner_type: 'instance_type', description: name, ...more }
  return (await box.api<{ token: string }>('POST', '/api/v4/user/runners', body)).token
}
const folderOf = (name: string) => {
  const folder = path.join(box.folder, name)
  mkdirSync(folder)
  return folder
}

describe('a file of runners', () => {
  it('is made, added to, listed, verified and looked at', { timeout: 60_000 }, async () => {
    const cwd = folderOf('made')
    const file = path.join(cwd, 'signalbox-runner.toml')
    const run = (args: string[], env: Record<string, string> = {}) =>
      signalbox(['runner', ...args], { cwd, env: { SIGNALBOX_URL: box.url, ...env } })
    const own = await makeToken('one', { tag_list: 'linux' })
    const first = await run(['register', '--name', 'one'], { SIGNALBOX_RUNNER_TOKEN: own })
    expect(first).toMatchObject({ code: 0, stderr: expect.stringContaining('runner one stands in') })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    writeFileSync(file, `# kept\n${readFileSync(file, 'utf8')}`)

    const { token: registration } = await box.api<{ token: string }>('POST', '/api/v4/runners/reset_registration_token')
    const more = ['--name', 'two', '--tags', 'a,b', '--executor', 'docker', '--docker-image', 'busybox:1']
    writeFileSync(path.join(cwd, 'registration'), `${registration}\n`)
    expect(await run(['register', '--token-file', 'registration', ...more])).toMatchObject({ code: 0 })
    expect(readFileSync(file, 'utf8')).toMatch(/^# kept\n.*image = "busybox:1"/s)

    const known = (await box.api<unknown[]>('GET', '/api/v4/runners/all')).length
    const again = await run(['register', '--token-file', 'registration', ...more])
    expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining("name two is another runner's, too") })
    expect(await box.api<unknown[]>('GET', '/api/v4/runners/all')).toHaveLength(known)
    const unknown = await run(['register', '--name', 'three', '--token', 'glrt-nobody'])
    expect(unknown).toMatchObject({ code: 4, stderr: expect.stringContaining('does not know this token') })

    const listed = await run(['list', '--config', file, '--json'])
    expect(JSON.parse(listed.stdout)).toMatchObject([
      { name: 'one', executor: 'shell', coordinator: { is: 'known', runner: { tag_list: ['linux'], paused: false } } },
      { name: 'two', executor: 'docker', coordinator: { is: 'known', runner: { tag_list: ['a', 'b'] } } },
    ])
    expect(listed.stdout).not.toContain(own)
    expect(await run(['verify'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^one: runner \d+ is known/) })
    expect(await run(['status'])).toMatchObject({ code: 1, stdout: 'one\tstopped\t\ntwo\tstopped\t\n' })

    writeFileSync(file, readFileSync(file, 'utf8').replace(own, 'glrt-nobody'))
    expect(await run(['verify'])).toMatchObject({
      code: 4,
      stdout: expect.stringContaining('does not know this token'),
    })
  })

  it('loses a runner that is unregistered, and nothing else', { timeout: 60_000 }, async () => {
    const cwd = folderOf('unregistered')
    const file = path.join(cwd, 'signalbox-runner.toml')
    const [first, second] = [await makeToken('first'), await makeToken('second')]
    const entry = (name: string, token: string, url = box.url) =>
      `[[runners]] # ${name}\nname = "${name}"\nurl = "${url}"\ntoken = "${token}"\n`
    const parts = [
      'concurrent = 2 # kept\n',
      `${entry('first', first)}  [runners.docker]\n  image = "a"\n`,
      entry('second', second),
      entry('away', 'glrt-x', 'http://127.0.0.1:9'),
      entry('stream', 'glrt-x', 'grpc://127.0.0.1:9'),
      entry('forgotten', 'glrt-nobody'),
    ]
    const has = (...names: number[]) => expect(readFileSync(file, 'utf8')).toBe(names.map((i) => parts[i]).join(''))
    writeFileSync(file, parts.join(''), { mode: 0o600 })
    const run = (name: string, ...more: string[]) => signalbox(['runner', 'unregister', name, ...more], { cwd })

    expect(await run('nobody')).toMatchObject({ code: 3, stderr: expect.stringContaining('has no runner nobody') })
    expect(await run('away')).toMatchObject({ code: 6, stderr: expect.stringContaining('no answer from') })
    expect(await run('stream')).toMatchObject({ code: 2, stderr: expect.stringContaining('no address of HTTP') })
    has(0, 1, 2, 3, 4, 5)
    expect(existsSync(`${file}.new`)).toBe(false)

    expect(await run('first')).toMatchObject({ code: 0, stderr: expect.stringContaining('runner first is gone') })
    has(0, 2, 3, 4, 5)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const known = await signalbox(['runner', 'verify', '--url', box.url, '--token', first], { cwd })
    expect(known).toMatchObject({ code: 4 })
    expect(await signalbox(['runner', 'verify', '--url', box.url, '--token', second], { cwd })).toMatchObject({
      code: 0,
    })
    expect(await run('forgotten')).toMatchObject({ code: 0 })
    expect(await run('stream', '--url', box.url)).toMatchObject({ code: 0 })
    has(0, 2, 3)

    writeFileSync(file, `x = '''\n[[runners]]\n'''\n${entry('second', second)}`.replace('x =', 'work_dir ='))
    expect(await run('second')).toMatchObject({ code: 2, stderr: expect.stringContaining('by hand') })
    writeFileSync(file, entry('second', second))
    expect(await run('second')).toMatchObject({ code: 0 })
  })

  it('is written of a GitLab Runner’s, with what is left to do', async () => {
    const cwd = folderOf('import')
    const own = await makeToken('kept')
    const entry = (name: string, more: string) => `[[runners]]\nname = "${name}"\n${more}\n`
    writeFileSync(
      path.join(cwd, 'config.toml'),
      [
        'concurrent = 7\ncheck_interval = 0\n',
        entry('kept', `url = "${box.url}/"\ntoken = "${own}"\nexecutor = "shell"`),
        entry('moved', 'url = "https://git.example.org/"\ntoken = "WXHSgV"\nexecutor = "docker"'),
        '  [runners.docker]\n    image = "docker:20"\n    privileged = true\n    volumes = ["/certs/client", "/cache"]\n',
        '    pull_policy = ["if-not-present"]\n    helper_image = "helper"\n    network_mtu = 0\n',
        entry('ssh', 'url = "https://git.example.org/"\ntoken = "x"\nexecutor = "ssh"'),
      ].join(''),
    )
    const run = () =>
      signalbox(['runner', 'import', 'config.toml', '--write', 'own.toml'], { cwd, env: { SIGNALBOX_URL: box.url } })
    const { code, stdout, stderr } = await run()
    expect({ code, stderr }).toMatchObject({ code: 0 })
    expect(stderr).toContain('own.toml has 2 of 3 runners\nleft out: ssh')
    expect(stderr).toContain('moved: runners.docker.network_mtu has no counterpart')
    expect(stdout).toBe('(umask 077; signalbox runner create --description moved > moved.token)\n')
    writeFileSync(path.join(cwd, 'moved.token'), await makeToken('moved'))
    const listed = await signalbox(['runner', 'list', '--config', 'own.toml', '--json'], { cwd })
    expect(JSON.parse(listed.stdout)).toMatchObject([
      { name: 'kept', limit: 7, coordinator: { is: 'known' } },
      { name: 'moved', executor: 'docker', coordinator: { is: 'known' } },
    ])
    expect(await run()).toMatchObject({ code: 2, stderr: expect.stringContaining('cannot write own.toml') })
  })
})

it('a job cannot read its runner’s token, however that was given', { timeout: 60_000 }, async () => {
  const cwd = folderOf('token')
  // The service is given one in its environment, too.
  for (const how of ['argument', 'service']) {
    const token = await makeToken(how, { tag_list: 'look' })
    // What looks for it does not show it.
    const pattern = `${token.slice(0, 12)}[${token[12]}]${token.slice(13)}`
    const look = `cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>&1 | tr "\\0" "\\n" | grep -a -c "${pattern}" || true`
    const config = { look: { tags: ['look'], script: [look] } }
    const repository = await box.repository(`team/${how}`, { '.gitlab-ci.yml': JSON.stringify(config) })
    const file = path.join(cwd, `${how}.toml`)
    writeFileSync(file, `metrics = "127.0.0.1:0"\n[[runners]]\nname = "one"\nurl = "${box.url}"\ntoken = "${token}"\n`)
    const given = {
      argument: { args: ['--url', box.url, '--token', token], env: {} },
      service: { args: ['--config', file], env: { SIGNALBOX_RUNNER_TOKEN: token } },
    }[how]!
    const child = spawn(process.execPath, [program, 'runner', 'start', ...given.args], {
      cwd,
      env: { ...process.env, ...given.env },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let log = ''
    child.stderr.on('data', (chunk: Buffer) => {
      log += String(chunk)
    })
    await git(repository, 'push', '--quiet', 'origin', 'main')
    const route = `/api/v4/projects/team%2F${how}`
    const jobs = () => box.api<{ id: number; status: string }[]>('GET', `${route}/jobs`)
    await eventually(async () => expect((await jobs())[0]?.status, log).toBe('success'))
    const trace = await fetch(`${box.url}${route}/jobs/${(await jobs())[0]!.id}/trace`, {
      headers: { 'PRIVATE-TOKEN': box.token },
    })
    expect(await trace.text()).toMatch(/\n0\r?\n/)
    if (how === 'service') {
      const [, url] = /"url":"(http:[^"]+metrics)"/.exec(log)!
      expect(await (await fetch(url!)).text()).toMatch(/gitlab_runner_jobs_total\{[^}]*runner_name="one"[^}]*\} 1/)
      const status = await signalbox(['runner', 'status', '--config', file], { cwd })
      expect(status).toMatchObject({ code: 0, stdout: expect.stringMatching(/^one\trunning\t/) })
    }
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
})

describe.skipIf(skipsWithoutEngine('the pruning of an engine'))('what jobs have left at an engine', () => {
  let engine: TestEngine
  beforeAll(async () => {
    engine = await TestEngine.start()
  }, 150_000)
  afterAll(async () => engine?.close(), 150_000)

  it('goes, but not what jobs that run have, nor others’', { timeout: 150_000 }, async () => {
    const cwd = folderOf('prune')
    const lines = [`[[runners]]`, 'name = "one"', `url = "${box.url}"`, 'token = "glrt-mine"', 'executor = "docker"']
    writeFileSync(path.join(cwd, 'runners.toml'), [...lines, `[runners.docker]\nhost = "${engine.host}"`].join('\n'))
    const make = (name: string, runner: string, session: string) => {
      const labels = Object.entries({ managed: 'true', runner, session }).flatMap(([key, value]) => [
        '--label',
        `signalbox.${key}=${value}`,
      ])
      engine.podman('create', '--name', name, ...labels, 'busybox:1', 'true')
      engine.podman('volume', 'create', ...labels.slice(0, 4), `${name}-cache`)
    }
    make('left', 'mine', '1-1-old')
    make('running', 'mine', '2-1-now')
    make('foreign', 'other', '3-1-far')
    const spool = path.join(cwd, 'signalbox-work/one/spool/2-1')
    mkdirSync(spool, { recursive: true })
    const lease = { jobId: 2, fence: 1, jobName: 'x', runner: 'x', session: '2-1-now' }
    writeFileSync(path.join(spool, 'lease.json'), JSON.stringify(lease))
    expect(heldJobs(path.join(cwd, 'signalbox-work/one'))).toMatchObject([{ jobId: 2, ended: false }])

    const prune = async (...args: string[]) =>
      (await signalbox(['runner', 'prune', '--config', 'runners.toml', ...args], { cwd })).stdout.split('\n').sort()
    expect(await prune('--dry-run')).toEqual(['', 'left'])
    expect(engine.left()).toContain('left')
    expect(await prune()).toEqual(['', 'left'])
    expect(engine.left()).toEqual(expect.arrayContaining(['running', 'foreign', 'left-cache']))
    expect(await prune('--volumes')).toEqual(['', 'left-cache', 'running-cache'])
    expect(await prune('--all', '--volumes')).toEqual(['', 'foreign', 'foreign-cache'])
    expect(engine.left()).toEqual(['running'])
  })
})
