import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { diskRooms } from '../../../src/core/blobs/disk-blobs.js'
import { inThisThread } from '../../../src/core/ci-config/language.js'
import type { Core } from '../../../src/core/core.js'
import { makeCore } from '../../../src/core/make-core.js'
import { contactRunner, runnerFacts } from '../../../src/core/operations/contact-runner.js'
import { createProject } from '../../../src/core/operations/create-project.js'
import { createRunner } from '../../../src/core/operations/create-runner.js'
import { leaseJob } from '../../../src/core/operations/lease-job.js'
import { setAdminToken } from '../../../src/core/operations/prepare-node.js'
import type { Pipeline } from '../../../src/core/pipeline.js'
import type { Project } from '../../../src/core/project.js'
import type { Tasks } from '../../../src/core/scheduler/tasks.js'
import { insertAccessToken } from '../../../src/core/store/access-tokens.js'
import { getPipeline } from '../../../src/core/store/pipelines.js'
import { insertUser, type User } from '../../../src/core/store/users.js'
import { keysFrom } from '../../../src/core/tokens/keys.js'
import { hashToken, hintOf } from '../../../src/core/tokens/token.js'
import { createGitHttp, type GitHttp } from '../../../src/git/http.js'
import type { GitHttpLimits } from '../../../src/git/limits.js'
import { defaultRemoteLimits } from '../../../src/git/remote-fetch.js'
import { GitRepositories } from '../../../src/git/repositories.js'
import { adminToken } from '../../support/core.js'
import type { ManualClock } from '../../support/manual-clock.js'
import { openTestStore, type TestStore } from '../../support/stores.js'
import { temporaryFolder, Work } from './git.js'

export { adminToken }

export const oneJob = 'build:\n  script: [make]\n'

export interface Logged {
  level: string
  fields: object
  message: string
}

/** A core on an empty store with hosted repositories, and the git door on a free port. The clock stands still. */
export class GitBox implements AsyncDisposable {
  readonly core: Core
  readonly repositories: GitRepositories
  readonly door: GitHttp
  readonly server: http.Server
  readonly logged: Logged[] = []
  /** Hosts that mirrors may be fetched from though they are private. */
  readonly trustedHosts: string[] = []
  admin!: User
  readonly #box: TestStore
  readonly #tasks: Tasks
  readonly #temp = temporaryFolder()
  readonly #open = new Set<Promise<boolean>>()

  constructor(box: TestStore, limits: Partial<GitHttpLimits>) {
    this.#box = box
    const log = Object.fromEntries(
      ['debug', 'info', 'warn', 'error'].map((level) => [
        level,
        (fields: object, message: string) => void this.logged.push({ level, fields, message }),
      ]),
    ) as unknown as Core['log']
    const folder = path.join(this.#temp.path, 'repositories')
    const remotes = { ...defaultRemoteLimits, trustedHosts: this.trustedHosts }
    this.repositories = new GitRepositories({ folder, clock: box.clock, log, remotes })
    const { core, tasks } = makeCore({
      node: 'test',
      store: box.store,
      clock: box.clock,
      keys: keysFrom(Buffer.alloc(32, 7)),
      traces: path.join(this.#temp.path, 'traces'),
      blobs: diskRooms(this.#temp.path),
      repositories: this.repositories,
      language: inThisThread,
      log,
      externalUrl: () => 'http://box.test',
      fatal: (error) => {
        throw error
      },
    })
    this.core = core
    this.#tasks = tasks
    this.door = createGitHttp({ core, repositories: this.repositories, log, limits })
    this.server = http.createServer((req, res) => {
      const answered = this.door.handle(req, res)
      if (answered === false) res.writeHead(418).end()
      else if (answered !== true) this.#open.add(answered)
    })
  }

  async start(): Promise<this> {
    this.admin = await setAdminToken(this.core, adminToken)
    await this.#tasks.load()
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    return this
  }

  get clock(): ManualClock {
    return this.#box.clock
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  /** Where git finds a project, with a password in the URL unless told otherwise. */
  url(projectPath: string, token: string | null = adminToken): string {
    const login = token === null ? '' : `any:${encodeURIComponent(token)}@`
    return `http://${login}127.0.0.1:${this.port}/${projectPath}.git`
  }

  /** A folder of the user. */
  get folder(): string {
    return this.#temp.path
  }

  /** A working copy whose `origin` is the project, made or not. */
  async work(projectPath = 'acme/app', name = 'work'): Promise<Work> {
    const work = await Work.init(this.#temp.path, name)
    work.setOrigin(this.url(projectPath))
    return work
  }

  project(projectPath = 'acme/app'): Promise<Project> {
    return createProject(this.core, { path: projectPath, user: this.admin })
  }

  /** A project with one commit of these files on `main`, and the copy it was pushed from. */
  async filled(files: Record<string, string> = { '.gitlab-ci.yml': oneJob }, projectPath = 'acme/app') {
    const project = await this.project(projectPath)
    const work = await this.work(projectPath, `work-${project.id}`)
    const sha = await work.commit(files)
    await work.git('push', '--quiet', 'origin', 'main')
    return { project, work, sha }
  }

  async user(username: string, scopes: string[]): Promise<{ user: User; token: string }> {
    const token = `glpat-${username}-${scopes.join('-')}-0123456789`
    const user = await this.core.store.write(async (tx) => {
      const made = await insertUser(tx, { username, name: username, email: `${username}@example.com`, isAdmin: 0 })
      const hash = { tokenHash: hashToken(token), tokenHint: hintOf(token) }
      await insertAccessToken(tx, { userId: made.id, name: 'test', ...hash, scopes })
      return made
    })
    return { user, token }
  }

  async pipelines(): Promise<Pipeline[]> {
    const rows = await this.core.store.read.db.selectFrom('pipelines').select('id').orderBy('id').execute()
    return Promise.all(rows.map(({ id }) => getPipeline(this.core.store.read, id)))
  }

  /** Leases the next job to a runner, and gives its id and the payload that the runner gets. */
  async lease(): Promise<{ jobId: number; fence: number; managerId: number; token: string; payload: LeasedPayload }> {
    const { runner } = await createRunner(this.core, { type: 'instance' })
    const info = {
      systemId: 's_000000000001',
      name: 'test-runner',
      version: '1',
      revision: 'x',
      platform: 'linux',
      architecture: 'amd64',
      executor: 'shell',
      features: [],
      ipAddress: null,
    }
    const manager = await contactRunner(this.core, runner, info)
    const { offer } = await leaseJob(this.core, {
      runner,
      managerId: manager.id,
      facts: await runnerFacts(this.core, runner, info),
      door: 'rest',
      requestId: null,
      deliver: () => true,
    })
    const payload: LeasedPayload = JSON.parse(offer!.payload.toString('utf8'))
    return { jobId: offer!.jobId, fence: offer!.fence, managerId: manager.id, token: payload.token, payload }
  }

  /** Resolves when the door is through with every request that has come so far. */
  async settled(): Promise<void> {
    await Promise.all(this.#open)
  }

  /** What was logged as an error. */
  get errors(): Logged[] {
    return this.logged.filter(({ level }) => level === 'error')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.door.close()
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve())
      this.server.closeAllConnections()
    })
    await this.repositories.close()
    await this.#tasks.close()
    await this.core.traces.close()
    await this.#box[Symbol.asyncDispose]()
    this.#temp[Symbol.dispose]()
  }
}

export interface LeasedPayload {
  token: string
  git_info: { repo_url: string; ref: string; sha: string; refspecs: string[]; depth: number }
}

export async function startGitBox(limits: Partial<GitHttpLimits> = {}): Promise<GitBox> {
  return new GitBox(await openTestStore('sqlite'), limits).start()
}
