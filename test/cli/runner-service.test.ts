/** Several runners in one process, from a file: a fleet of seven on a real engine, and what becomes of a file that changes. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { skipsWithoutEngine, TestEngine } from '../support/engine.js'
import { eventually } from '../support/eventually.js'
import { Coordinator, git, program, signalbox } from '../support/processes.js'

const skipped = skipsWithoutEngine('a fleet of runners')
const patienceMs = 150_000

describe.skipIf(skipped)('a fleet of seven, six in containers and one in a shell', { timeout: 2 * patienceMs }, () => {
  let engine: TestEngine
  beforeAll(async () => {
    engine = await TestEngine.start()
  }, patienceMs)
  afterAll(async () => engine?.close(), patienceMs)

  it('runs in one process, with volumes of the host and of the project', async () => {
    await using box = await Coordinator.start()
    const site = path.join(box.folder, 'www')
    mkdirSync(site)
    const names = ['gitlab-knb', 'vanilla-volume', 'docs', 'mdis-docker', 'shellexec', 'grouprunner', 'blank-volume']
    const entries = []
    for (const name of names) {
      const { token } = await box.api<{ token: string }>('POST', '/api/v4/user/runners', {
        runner_type: 'instance_type',
        description: name,
        tag_list: name,
      })
      const docker = [
        '[runners.docker]',
        `host = "${engine.host}"`,
        'image = "busybox:1"',
        'privileged = true',
        'network_mode = "none"',
        `volumes = ["/cache", "/certs/client"${name === 'mdis-docker' ? `, "${site}:/builds/icdp-osg/mdis:rw"` : ''}]`,
        'pull_policy = ["if-not-present"]',
        'shm_size = 0',
      ]
      const isShell = name === 'shellexec'
      const head = ['[[runners]]', `name = "${name}"`, `url = "${box.url}"`, `token = "${token}"`]
      entries.push(...head, `executor = "${isShell ? 'shell' : 'docker'}"`, ...(isShell ? [] : docker))
    }
    const job = (name: string) => ({
      tags: [name],
      script: ['echo "$CI_RUNNER_DESCRIPTION in $CI_PROJECT_DIR" | tee -a results.txt'],
    })
    const config = Object.fromEntries(names.map((name) => [name, job(name)]))
    const folder = await box.repository('icdp-osg/mdis', { '.gitlab-ci.yml': JSON.stringify(config) })
    await using service = Service.start(box.folder, ['concurrent = 7', ...entries])
    await git(folder, 'push', '--quiet', 'origin', 'main')
    const status = async () => {
      const route = '/api/v4/projects/icdp-osg%2Fmdis/pipelines'
      return (await box.api<{ status: string }[]>('GET', route))[0]?.status ?? 'none'
    }
    await vi.waitUntil(async () => ['success', 'failed'].includes(await status()), {
      timeout: patienceMs,
      interval: 200,
    })
    expect(await status(), service.log()).toBe('success')
    expect(readFileSync(path.join(site, 'results.txt'), 'utf8')).toBe('mdis-docker in /builds/icdp-osg/mdis\n')
    expect(engine.left()).toContainEqual(expect.stringMatching(/^runner-.*-project-1-concurrent-0-cache-/))
    expect(readFileSync(`/proc/${service.child.pid}/environ`, 'latin1')).not.toContain('glrt-')
  })
})

describe('a file of runners', () => {
  it('that is not right is refused with its place, and starts nothing', async () => {
    await using box = await Coordinator.start()
    const file = path.join(box.folder, 'wrong.toml')
    const entry = `[[runners]]\nname = "one"\nurl = "${box.url}"\n`
    for (const [text, message] of [
      [`${entry}token = "x"\nlimits = 1\n`, 'wrong.toml: runners[0]: unknown key limits'],
      [`${entry}`, 'wrong.toml: runners[0].token: or token_file must be given'],
      [`${entry}token_file = "absent"\n`, 'wrong.toml: runners[0].token_file: cannot be read'],
      [`${entry}token = "x"\n${entry}token = "y"\n`, "wrong.toml: runners[1]: name one is another runner's, too"],
      [`${entry}token = "x"\nexecutor = "docker"\n[runners.docker]\nvolumes = ["bad"]\n`, 'volumes.0'],
      ['[[runners]\n', 'wrong.toml:1:'],
    ]) {
      writeFileSync(file, text!)
      const { code, stderr } = await signalbox(['runner', 'start', '--config', file])
      expect(stderr).toContain(message)
      expect(code).toBe(2)
    }
  })

  it('is read again at SIGHUP, and one that is wrong then changes nothing', { timeout: 90_000 }, async () => {
    await using box = await Coordinator.start()
    const make = async (name: string) => {
      const body = { runner_type: 'instance_type', description: name, tag_list: name }
      const { token } = await box.api<{ token: string }>('POST', '/api/v4/user/runners', body)
      return ['[[runners]]', `name = "${name}"`, `url = "${box.url}"`, `token = "${token}"`]
    }
    const [one, two] = [await make('one'), await make('two')]
    await using service = Service.start(box.folder, one)
    await eventually(() => expect(service.log()).toContain('"msg":"connected"'))
    service.write(['nonsense = 1'])
    service.child.kill('SIGHUP')
    await eventually(() => expect(service.log()).toContain('all goes on as it was'))
    service.write(['concurrent = 3', ...one, ...two])
    service.child.kill('SIGHUP')
    await eventually(() => expect(service.log()).toMatch(/"runner":"two".*"connected"|"connected".*"runner":"two"/))
    service.child.kill('SIGTERM')
    await eventually(() => expect(service.child.exitCode).toBe(0))
  })
})

/** The process, and what it has logged. */
class Service implements AsyncDisposable {
  #log = ''

  private constructor(
    readonly file: string,
    readonly child: ChildProcess,
  ) {
    child.stderr!.on('data', (chunk: Buffer) => {
      this.#log += String(chunk)
    })
  }

  static start(folder: string, lines: string[]): Service {
    const file = path.join(folder, 'signalbox-runner.toml')
    writeFileSync(file, `${lines.join('\n')}\n`)
    const child = spawn(process.execPath, [program, 'runner', 'start', '--config', file], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    return new Service(file, child)
  }

  write(lines: string[]): void {
    writeFileSync(this.file, `${lines.join('\n')}\n`)
  }

  log(): string {
    return this.#log
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGTERM')
    this.child.kill('SIGTERM')
    await new Promise<void>((resolve) => {
      if (this.child.exitCode !== null || this.child.signalCode !== null) resolve()
      else this.child.once('exit', () => resolve())
    })
  }
}
