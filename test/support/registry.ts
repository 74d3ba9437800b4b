/** A registry on loopback that knows one user: Debian's docker-registry, from which the engine of a test pulls. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import type { TestEngine } from './engine.js'
import { eventually } from './eventually.js'

/** bcrypt of `open-sesame`: the registry takes no other form. */
const users = 'me:$2y$05$sZ3n58zvOcI/Vde6s7Jmae1quATajFjGeuAhb5TTbQ8YjUeNu65QG\n'

export class TestRegistry {
  readonly password = 'open-sesame'

  private constructor(
    private readonly engine: TestEngine,
    private readonly service: ChildProcess,
    readonly address: string,
  ) {}

  static async start(engine: TestEngine): Promise<TestRegistry> {
    const folder = fs.mkdtempSync(path.join(engine.root, 'registry-'))
    fs.writeFileSync(path.join(folder, 'users'), users)
    const address = engine.registry
    const settings = {
      version: 0.1,
      log: { level: 'error' },
      storage: { filesystem: { rootdirectory: path.join(folder, 'store') } },
      http: { addr: address },
      auth: { htpasswd: { realm: 'test', path: path.join(folder, 'users') } },
    }
    fs.writeFileSync(path.join(folder, 'config.yml'), JSON.stringify(settings))
    const service = spawn('docker-registry', ['serve', path.join(folder, 'config.yml')], { stdio: 'ignore' })
    await eventually(async () => {
      const answer = await fetch(`http://${address}/v2/`)
      if (answer.status !== 401) throw new Error(`the registry answers ${answer.status}`)
    })
    return new TestRegistry(engine, service, address)
  }

  /** Puts an image of the engine there under another name. */
  push(image: string, name: string): void {
    this.engine.podman('push', '-q', '--creds', `me:${this.password}`, image, `${this.address}/${name}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.service.kill('SIGKILL')
    await new Promise<void>((resolve) => this.service.once('exit', () => resolve()))
  }
}

/** Whether there is one. */
export function hasRegistry(): boolean {
  try {
    execFileSync('docker-registry', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
