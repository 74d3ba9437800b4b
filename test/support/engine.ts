/** A container engine of its own for a test: Debian's podman with a private store, and images made of busybox. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { eventually } from './eventually.js'

const tools = ['podman', 'runc', 'conmon', 'busybox', 'tar']

/** What keeps an engine from being here; nothing if one can be had. */
export function engineMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root may start one'
  const folders = (process.env.PATH ?? '').split(':').concat('/usr/sbin', '/sbin')
  const absent = tools.filter((tool) => !folders.some((folder) => fs.existsSync(path.join(folder, tool))))
  return absent.length > 0 ? `there is no ${absent.join(', ')}` : faultOfRunning()
}

/** Why podman, though it is here, cannot run a container: some machines let nobody make namespaces or mounts. */
function faultOfRunning(): string | undefined {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-probe-'))
  const run = (command: string, ...args: string[]) =>
    execFileSync(command, args, { env: environmentIn(root), encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  try {
    writeSettings(root, '127.0.0.1:1')
    fs.mkdirSync(path.join(root, 'image/bin'), { recursive: true })
    fs.copyFileSync(run('which', 'busybox').trim(), path.join(root, 'image/bin/busybox'))
    run('tar', '-C', path.join(root, 'image'), '-cf', path.join(root, 'image.tar'), '.')
    run('podman', 'import', '-q', path.join(root, 'image.tar'), 'docker.io/library/probe')
    run('podman', 'run', '--rm', '--pull=never', 'docker.io/library/probe', '/bin/busybox', 'true')
    return undefined
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string }
    return `podman runs no container: ${stderr.trim().split('\n').at(-1) || message}`
  } finally {
    removeRoot(root)
  }
}

/** Says in one line that a suite is skipped, if it is. @returns whether it is. */
export function skipsWithoutEngine(suite: string): boolean {
  const missing = engineMissing()
  if (missing !== undefined) console.warn(`${suite}: skipped, no container engine can be had: ${missing}`)
  return missing !== undefined
}

export class TestEngine {
  readonly #env: NodeJS.ProcessEnv

  private constructor(
    readonly root: string,
    private readonly service: ChildProcess,
    /** Where the engine would speak plain HTTP to a registry. */
    readonly registry: string,
  ) {
    this.#env = environmentIn(root)
  }

  /** Starts an engine, with the image `busybox:1`. */
  static async start(): Promise<TestEngine> {
    const registry = `127.0.0.1:${await freePort()}`
    const root = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-engine-'))
    writeSettings(root, registry)
    const service = spawn('podman', ['system', 'service', '--time=0', `unix://${root}/engine.sock`], {
      env: environmentIn(root),
      stdio: ['ignore', 'ignore', fs.openSync(path.join(root, 'log'), 'a')],
    })
    const engine = new TestEngine(root, service, registry)
    try {
      engine.image('busybox:1')
      await eventually(() => fs.existsSync(path.join(root, 'engine.sock')))
    } catch (error) {
      await engine.close()
      throw error
    }
    return engine
  }

  /** As `DOCKER_HOST`. */
  get host(): string {
    return `unix://${this.root}/engine.sock`
  }

  podman(...args: string[]): string {
    return execFileSync('podman', args, { env: this.#env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
  }

  /** Makes an image of busybox with these files, and changes as a Dockerfile has them. */
  image(name: string, { files = {}, changes = [], bash = false }: ImageSpec = {}): void {
    const folder = fs.mkdtempSync(path.join(this.root, 'image-'))
    for (const part of ['bin', 'tmp', 'etc', 'root', 'home/app'])
      fs.mkdirSync(path.join(folder, part), { recursive: true })
    fs.chmodSync(folder, 0o755)
    fs.chmodSync(path.join(folder, 'tmp'), 0o1777)
    const busybox = execFileSync('which', ['busybox'], { encoding: 'utf8' }).trim()
    fs.copyFileSync(busybox, path.join(folder, 'bin/busybox'))
    for (const applet of execFileSync(busybox, ['--list'], { encoding: 'utf8' }).split('\n')) {
      if (applet !== '' && applet !== 'busybox') fs.symlinkSync('busybox', path.join(folder, 'bin', applet))
    }
    // It takes the options that a bash is started with here.
    if (bash) fs.symlinkSync('busybox', path.join(folder, 'bin/bash'))
    const users = ['root:x:0:0:root:/root:/bin/sh', 'app:x:1000:1000:app:/home/app:/bin/sh', '']
    fs.writeFileSync(path.join(folder, 'etc/passwd'), users.join('\n'))
    for (const [file, content] of Object.entries(files)) {
      fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true })
      fs.writeFileSync(path.join(folder, file), content, { mode: 0o755 })
    }
    execFileSync('tar', ['-C', folder, '-cf', `${folder}.tar`, '.'])
    const qualified = name.includes('/') ? `docker.io/${name}` : `docker.io/library/${name}`
    this.podman('import', '-q', ...changes.flatMap((change) => ['--change', change]), `${folder}.tar`, qualified)
    fs.rmSync(folder, { recursive: true })
    fs.rmSync(`${folder}.tar`)
  }

  /** Names of all containers, networks and volumes, apart from the network that every engine has. */
  left(): string[] {
    return [
      ...this.podman('ps', '-a', '--format', '{{.Names}}').split('\n'),
      ...this.podman('network', 'ls', '--format', '{{.Name}}').split('\n'),
      ...this.podman('volume', 'ls', '--format', '{{.Name}}').split('\n'),
    ].filter((name) => name !== '' && name !== 'podman')
  }

  async close(): Promise<void> {
    try {
      this.podman('rm', '-af', '-t', '0')
      this.podman('network', 'prune', '-f')
    } catch {
      // It may not have come up.
    }
    this.service.kill('SIGTERM')
    await new Promise<void>((resolve) => {
      if (this.service.exitCode !== null || this.service.signalCode !== null) resolve()
      else this.service.once('exit', () => resolve())
    })
    removeRoot(this.root)
  }
}

function removeRoot(root: string): void {
  try {
    execFileSync('umount', ['-l', path.join(root, 'store')], { stdio: 'ignore' })
  } catch {
    // Nothing is mounted there with every version of podman.
  }
  fs.rmSync(root, { recursive: true, force: true, maxRetries: 5 })
}

interface ImageSpec {
  files?: Record<string, string>
  changes?: string[]
  bash?: boolean
}

/** A store and settings of its own below `root`. */
function writeSettings(root: string, registry: string): void {
  // Raising limits is refused where this runs in a container itself, and nobody else's state is touched.
  fs.writeFileSync(
    path.join(root, 'containers.conf'),
    [
      '[containers]',
      'default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]',
      '[engine]',
      'runtime = "runc"',
      'cgroup_manager = "cgroupfs"',
      'events_logger = "none"',
      `tmp_dir = "${root}/tmp"`,
      '[network]',
      `network_config_dir = "${root}/networks"`,
      // Other engines of this machine have theirs; two of ours at a time need not be told apart.
      `default_subnet = "10.${100 + (process.pid % 100)}.0.0/24"`,
      `default_subnet_pools = [{base = "10.${100 + (process.pid % 100)}.64.0/18", size = 24}]`,
      '',
    ].join('\n'),
  )
  fs.writeFileSync(
    path.join(root, 'storage.conf'),
    ['[storage]', 'driver = "vfs"', `graphroot = "${root}/store"`, `runroot = "${root}/run"`, ''].join('\n'),
  )
  fs.writeFileSync(
    path.join(root, 'registries.conf'),
    [
      'unqualified-search-registries = ["docker.io"]',
      'short-name-mode = "disabled"',
      '[[registry]]',
      `location = "${registry}"`,
      'insecure = true',
      '',
    ].join('\n'),
  )
  fs.writeFileSync(path.join(root, 'policy.json'), JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }))
}

function environmentIn(root: string): NodeJS.ProcessEnv {
  return {
    PATH: `${process.env.PATH}:/usr/sbin:/sbin`,
    HOME: root,
    CONTAINERS_CONF: path.join(root, 'containers.conf'),
    CONTAINERS_STORAGE_CONF: path.join(root, 'storage.conf'),
    CONTAINERS_REGISTRIES_CONF: path.join(root, 'registries.conf'),
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo
      server.close(() => resolve(port))
    })
  })
}
