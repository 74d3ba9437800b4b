import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { AdmissionRules } from '../../src/core/admission.js'
import type { BlobRooms } from '../../src/core/blobs/blob-store.js'
import { diskRooms } from '../../src/core/blobs/disk-blobs.js'
import { inThisThread } from '../../src/core/ci-config/language.js'
import type { Core, CoreSettings } from '../../src/core/core.js'
import { makeCore } from '../../src/core/make-core.js'
import { contactRunner, runnerFacts } from '../../src/core/operations/contact-runner.js'
import { createPipeline } from '../../src/core/operations/create-pipeline.js'
import { createProject } from '../../src/core/operations/create-project.js'
import { createRunner } from '../../src/core/operations/create-runner.js'
import { type LeaseOutcome, leaseJob } from '../../src/core/operations/lease-job.js'
import { recoverNode, setAdminToken } from '../../src/core/operations/prepare-node.js'
import type { Offer } from '../../src/core/payload/offer.js'
import type { Pipeline } from '../../src/core/pipeline.js'
import type { CommitInfo, Project, Repositories } from '../../src/core/project.js'
import type { Runner, RunnerManager } from '../../src/core/runner.js'
import type { Claimant, Waiter } from '../../src/core/scheduler/dispatcher.js'
import type { Tasks } from '../../src/core/scheduler/tasks.js'
import type { User } from '../../src/core/store/users.js'
import type { Engine } from '../../src/core/store/write.js'
import { keysFrom } from '../../src/core/tokens/keys.js'
import { openTestStore, type TestStore } from './stores.js'

export const adminToken = 'glpat-test-admin-token-000'

/** Where a branch of the `MemoryRepositories` is that was deleted. */
export const gone = 'gone'

/** Repositories that hold one file at one commit a project: what core asks of git, without git. */
export class MemoryRepositories implements Repositories {
  readonly files = new Map<number, Map<string, string>>()
  readonly pinned = new Set<number>()
  /** Branches of any project that are elsewhere than `sha`; `gone`: nowhere. */
  readonly branches = new Map<string, string>()
  /** Commits that cannot be merged with others. */
  readonly conflicting = new Set<string>()
  /** Finds commits by what names them, and nothing else. */
  readonly browser = {
    findCommit: async (project: Project, revision: string) => (await this.resolve(project, revision))?.sha,
  } as Repositories['browser']
  sha = '1234567890123456789012345678901234567890'

  async create(project: Project): Promise<void> {
    this.files.set(project.id, this.files.get(project.id) ?? new Map())
  }
  async remove(projectId: number): Promise<void> {
    this.files.delete(projectId)
  }
  async mergeBase(_: Project, one: string): Promise<string | undefined> {
    return one
  }
  async merge(_: Project, { target, source }: { target: string; source: string }): Promise<string | undefined> {
    return this.conflicting.has(source) ? undefined : createHash('sha1').update(`${target} ${source}`).digest('hex')
  }
  async moveBranch(_: Project, branch: string, { from, to }: { from: string; to: string }): Promise<boolean> {
    if ((this.branches.get(branch) ?? this.sha) !== from) return false
    this.branches.set(branch, to)
    return true
  }
  async createTag(): Promise<'made'> {
    return 'made'
  }
  async fetch(): Promise<{ head: string | undefined }> {
    return { head: undefined }
  }
  async fetchRef(): Promise<void> {}
  async tagMessage() {
    return ''
  }
  async resolve(_: Project, ref: string) {
    const name = ref.replace('refs/heads/', '')
    const sha = this.branches.get(name) ?? this.sha
    return name === 'missing' || sha === gone ? undefined : { name, tag: ref.startsWith('v'), sha }
  }
  async readFile(project: Project, _: string, file: string) {
    return this.files.get(project.id)?.get(file)
  }
  async listFiles(project: Project) {
    return [...(this.files.get(project.id)?.keys() ?? [])]
  }
  async listBlobs(project: Project) {
    const files = [...(this.files.get(project.id) ?? [])]
    return files.map(([file, text]) => ({ path: file, id: createHash('sha1').update(text).digest('hex') }))
  }
  async lastCommit(): Promise<undefined> {}
  async changedPaths(): Promise<string[]> {
    return []
  }
  async changedSince(): Promise<string[]> {
    return []
  }
  async listTags(): Promise<string[]> {
    return []
  }
  async commit(_: Project, sha: string): Promise<CommitInfo> {
    return {
      sha,
      author: 'Ada <ada@example.com>',
      authorName: 'Ada',
      authorEmail: 'ada@example.com',
      timestamp: '2026-01-01T00:00:00+00:00',
      message: 'Say hello\n',
    }
  }
  pin(_: Project, pipelineId: number): void {
    this.pinned.add(pipelineId)
  }
  unpin(_: Project, pipelineId: number): void {
    this.pinned.delete(pipelineId)
  }
  async pinsSettled(): Promise<void> {}
}

/** A runner of the test, as somebody who claims jobs. */
export interface TestRunner {
  runner: Runner
  manager: RunnerManager
  token: string
  claimant(options?: Partial<Claimant>): Claimant
  /** Asks for work once. */
  request(options?: Partial<Claimant>): Promise<LeaseOutcome>
  /** Waits with so many credits; collects what is delivered. */
  wait(credits: number, options?: Partial<Claimant>): Waiter & { offers: Offer[]; credits: number }
}

export class TestCore implements AsyncDisposable {
  readonly core: Core
  readonly tasks: Tasks
  readonly repositories: MemoryRepositories
  readonly box: TestStore
  readonly logged: { level: string; fields: object; message: string }[] = []
  admin!: User
  readonly folder: string

  constructor(
    box: TestStore,
    settings: Partial<CoreSettings>,
    blobs?: BlobRooms,
    admission?: AdmissionRules,
    node = 'test',
  ) {
    this.box = box
    this.folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-core-'))
    this.repositories = new MemoryRepositories()
    const log = (level: string) => (fields: object, message: string) => this.logged.push({ level, fields, message })
    const { core, tasks } = makeCore({
      node,
      store: box.store,
      clock: box.clock,
      keys: keysFrom(Buffer.alloc(32, 7)),
      traces: path.join(this.folder, 'traces'),
      blobs: blobs ?? diskRooms(this.folder),
      repositories: this.repositories,
      language: inThisThread,
      log: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
      externalUrl: () => 'http://box.test',
      ...(admission ? { admission } : {}),
      settings,
      fatal: (error) => {
        throw error
      },
    })
    this.core = core
    this.tasks = tasks
  }

  get clock() {
    return this.box.clock
  }

  async start(): Promise<this> {
    this.admin = await setAdminToken(this.core, adminToken)
    await this.tasks.load()
    await recoverNode(this.core)
    return this
  }

  async project(config: string | object, projectPath = 'acme/app'): Promise<Project> {
    const project = await createProject(this.core, { path: projectPath, user: this.admin })
    this.configure(project, config)
    return project
  }

  /** Commits a configuration: the commit is a new one. */
  configure(project: Project, config: string | object): void {
    this.repositories.sha = (BigInt(`0x${this.repositories.sha}`) + 1n).toString(16).padStart(40, '0')
    this.repositories.files.get(project.id)!.set('.gitlab-ci.yml', toText(config))
  }

  async pipeline(project: Project, options: Partial<Parameters<typeof createPipeline>[1]> = {}): Promise<Pipeline> {
    const pipeline = await createPipeline(this.core, {
      projectId: project.id,
      ref: 'main',
      source: 'api',
      user: this.admin,
      onInvalid: 'refuse',
      ...options,
    })
    return pipeline!
  }

  /** A project with this configuration and one pipeline of it. */
  async run(config: string | object, projectPath?: string): Promise<{ project: Project; pipeline: Pipeline }> {
    const project = await this.project(config, projectPath)
    return { project, pipeline: await this.pipeline(project) }
  }

  async runner(
    options: Partial<Parameters<typeof createRunner>[1]> & { features?: string[]; systemId?: string } = {},
  ): Promise<TestRunner> {
    const { features = ['cancel_gracefully', 'return_exit_code'], systemId = 's_000000000001', ...input } = options
    const { runner, token } = await createRunner(this.core, { type: 'instance', ...input })
    return this.manager(runner, token, features, systemId)
  }

  async manager(runner: Runner, token: string, features: string[], systemId: string): Promise<TestRunner> {
    const info = {
      systemId,
      name: 'test-runner',
      version: '1',
      revision: 'x',
      platform: 'linux',
      architecture: 'amd64',
      executor: 'shell',
      features,
      ipAddress: null,
    }
    const manager = await contactRunner(this.core, runner, info)
    const facts = await runnerFacts(this.core, runner, info)
    const claimant = (more: Partial<Claimant> = {}): Claimant => ({
      runner,
      managerId: manager.id,
      facts,
      door: 'websocket',
      requestId: null,
      deliver: () => true,
      ...more,
    })
    return {
      runner,
      manager,
      token,
      claimant,
      request: (more) => leaseJob(this.core, claimant(more)),
      wait: (credits, more) => {
        const offers: Offer[] = []
        let reserved = 0
        const waiter = {
          ...claimant({
            deliver: (offer) => {
              offers.push(offer)
              return true
            },
            ...more,
          }),
          offers,
          credits,
          free: () => waiter.credits - reserved,
          reserve: () => {
            reserved++
          },
          unreserve: () => {
            reserved--
          },
        }
        this.core.dispatcher.add(waiter)
        return waiter
      },
    }
  }

  /** Status of every current job by name. */
  async statuses(pipeline: Pipeline): Promise<Record<string, string>> {
    const rows = await this.core.store.read.db
      .selectFrom('jobs')
      .select(['name', 'status'])
      .where('pipeline_id', '=', pipeline.id)
      .where('retried', '=', 0)
      .orderBy('id')
      .execute()
    return Object.fromEntries(rows.map((row) => [row.name, row.status]))
  }

  async pipelineStatus(pipeline: Pipeline): Promise<string> {
    const row = await this.core.store.read.db
      .selectFrom('pipelines')
      .select('status')
      .where('id', '=', pipeline.id)
      .executeTakeFirstOrThrow()
    return row.status
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tasks.close()
    await this.core.traces.close()
    await this.box[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** A node's core on an empty store, with a clock that stands still. */
export async function startTestCore(engine: Engine, settings: Partial<CoreSettings> = {}): Promise<TestCore> {
  return new TestCore(await openTestStore(engine), settings).start()
}

export function toText(config: string | object): string {
  return typeof config === 'string' ? config : JSON.stringify(config)
}
