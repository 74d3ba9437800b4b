/**
 * `signalbox run`: the repository's pipeline on this machine. A coordinator and a runner live in this process for one
 * pipeline, on loopback, with everything they keep in a temporary folder.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { readSettings } from '../../config.js'
import { compileConfig } from '../../core/ci-config/compile.js'
import { describeError, type JobPlan } from '../../core/ci-config/plan.js'
import { SignalboxError } from '../../core/errors.js'
import { cancelPipeline } from '../../core/operations/cancel-pipeline.js'
import { createPipeline } from '../../core/operations/create-pipeline.js'
import { createProject } from '../../core/operations/create-project.js'
import { createRunner } from '../../core/operations/create-runner.js'
import { playJob } from '../../core/operations/play-job.js'
import type { Pipeline } from '../../core/pipeline.js'
import type { Project } from '../../core/project.js'
import type { JobView } from '../../core/store/job-views.js'
import { listDefinitions } from '../../core/store/jobs.js'
import { findUser } from '../../core/store/users.js'
import type { RunnerLog } from '../../runner/events.js'
import type { Server } from '../../server.js'
import { type Context, openContext } from '../context.js'
import { errorsOnly } from '../errors-only.js'
import { Exit, exitCodes } from '../exit.js'
import { localEvent, planLocally } from '../local-event.js'
import { LocalFollower } from '../local-follower.js'
import { type Snapshot, takeSnapshot } from '../snapshot.js'
import { statusText } from '../terminal.js'
import { parseVariables } from '../variables.js'
import { localIncludes, projectName, type WorkingTree, workingTree } from '../working-tree.js'

interface RunOptions {
  cwd?: string
  file?: string
  var?: string[]
  executor?: 'shell' | 'docker'
  artifacts?: string | undefined
  list?: boolean
  json?: boolean
}

export async function run(jobs: string[], options: RunOptions): Promise<void> {
  const context = openContext()
  const folder = path.resolve(context.cwd, options.cwd ?? '.')
  if (!existsSync(folder)) throw new Exit(exitCodes.notFound, `no folder ${folder}`)
  const tree = workingTree(folder)
  const configPath = configPathOf(tree, folder, options.file)
  if (options.list) return list(context, tree, configPath, jobs, options)
  if (options.executor === 'docker') {
    throw new Exit(
      exitCodes.usage,
      'the docker executor is not part of this version',
      'leave --executor out to use the shell',
    )
  }
  const artifacts = options.artifacts === undefined ? undefined : artifactFolder(context, options.artifacts)
  const place = mkdtempSync(path.join(os.tmpdir(), 'signalbox-run-'))
  const remove = () => rmSync(place, { recursive: true, force: true, maxRetries: 3 })
  process.once('exit', remove)
  const interrupts = new Interrupts(context.terminal.say)
  try {
    await runIn(place, context, tree, configPath, jobs, { ...options, artifacts }, interrupts)
  } finally {
    interrupts.ignore()
    process.off('exit', remove)
    remove()
  }
}

/** Made before anything runs: a folder that cannot be is not found out by the last job. */
function artifactFolder(context: Context, given: string): string {
  const folder = path.resolve(context.cwd, given)
  try {
    mkdirSync(folder, { recursive: true })
  } catch (error) {
    throw new Exit(exitCodes.usage, `--artifacts: ${(error as Error).message}`)
  }
  return folder
}

async function runIn(
  place: string,
  context: Context,
  tree: WorkingTree,
  configPath: string,
  jobs: string[],
  options: RunOptions,
  interrupts: Interrupts,
): Promise<void> {
  const { terminal } = context
  const variables = parseVariables(options.var ?? [])
  const log = errorsOnly(terminal.say)
  const { startServer } = await import('../../server.js')
  const taking = takeSnapshot(tree, path.join(place, 'snapshot'))
  const server = await startServer({
    settings: settingsFor(place),
    log,
    compile: compileConfig,
    fatal: (error) => log.error({ err: error }, 'the temporary store failed'),
    ephemeral: true,
  })
  try {
    const snapshot = await taking
    const { project, pipeline } = await start(server, { tree, snapshot, place, configPath, jobs, variables })
    const follower = new LocalFollower(server.core, pipeline, terminal, {
      quiet: options.json === true,
      play: (waiting) => playNamed(server, waiting, jobs),
    })
    const tags = await tagsAndWarnings(server, pipeline, terminal.say)
    const runner = await startLocalRunner(server, place, project, tags, log)
    interrupts.cancel = () => cancelPipeline(server.core, { pipelineId: pipeline.id })
    const last = await follower.end()
    await runner.close()
    if (options.artifacts) {
      const { unpackArtifacts } = await import('../local-artifacts.js')
      await unpackArtifacts(server.core, pipeline.id, options.artifacts)
    }
    if (options.json) context.json(await follower.document())
    else terminal.say(`pipeline ${statusText(terminal, last.status)}`)
    if (interrupts.happened) throw new Exit(exitCodes.interrupted)
    if (last.status === 'failed' || last.status === 'canceled') throw new Exit(exitCodes.failed)
  } finally {
    await server.close()
  }
}

/** Path of the configuration from the repository's top; it must be there. */
function configPathOf(tree: WorkingTree, folder: string, given: string | undefined): string {
  const file = given === undefined ? path.join(tree.root, '.gitlab-ci.yml') : path.resolve(folder, given)
  const inside = path.relative(tree.root, file)
  if (!existsSync(file)) throw new Exit(exitCodes.usage, `no configuration: ${file} does not exist`)
  if (inside.startsWith('..') || path.isAbsolute(inside)) {
    throw new Exit(exitCodes.usage, `${file} is not in the repository ${tree.root}`)
  }
  return inside.split(path.sep).join('/')
}

function settingsFor(place: string) {
  return readSettings({
    flags: { dataDir: path.join(place, 'data'), http: '127.0.0.1:0', logLevel: 'error' },
    env: {},
    cwd: place,
  })
}

interface StartInput {
  tree: WorkingTree
  snapshot: Snapshot
  place: string
  configPath: string
  jobs: string[]
  variables: { key: string; value: string }[]
}

/** The project with the snapshot as its branch, and the pipeline of it. */
async function start(server: Server, input: StartInput): Promise<{ project: Project; pipeline: Pipeline }> {
  const { core } = server
  const user = (await findUser(core.store.read, 1))!
  const { branch } = input.tree
  const project = await createProject(core, {
    path: `local/${projectName(input.tree.root)}`,
    defaultBranch: branch,
    configPath: input.configPath,
    user,
  })
  const repository = repositoryOf(input.place, project)
  mkdirSync(path.join(repository, 'objects', 'info'), { recursive: true })
  writeFileSync(
    path.join(repository, 'objects', 'info', 'alternates'),
    input.snapshot.objects.map((one) => `${one}\n`).join(''),
  )
  const ref = path.join(repository, 'refs', 'heads', branch)
  mkdirSync(path.dirname(ref), { recursive: true })
  writeFileSync(ref, `${input.snapshot.sha}\n`)
  try {
    const pipeline = await createPipeline(core, {
      projectId: project.id,
      ref: branch,
      source: 'push',
      user,
      variables: input.variables,
      onInvalid: 'refuse',
      ...(input.jobs.length > 0 ? { onlyJobs: input.jobs } : {}),
    })
    if (!pipeline) throw new Exit(exitCodes.usage, 'the commit asks to skip CI')
    await core.repositories.pinsSettled(project.id)
    return { project, pipeline }
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'invalid') {
      throw new Exit(exitCodes.usage, `${input.configPath}: ${error.message}`)
    }
    throw error
  }
}

function repositoryOf(place: string, project: Project): string {
  return path.join(place, 'data', 'repositories', `${project.id}.git`)
}

/** Tags match anything here: the runner has all that the pipeline names. */
async function tagsAndWarnings(server: Server, pipeline: Pipeline, say: (line: string) => void): Promise<string[]> {
  const plans = await listDefinitions(server.core.store.read, pipeline.id)
  if (plans.some((plan) => plan.image !== undefined)) {
    say('warning: no container engine is used: jobs with an image run in this machine’s shell')
  }
  return [...new Set(plans.flatMap((plan) => plan.tags))]
}

/** Its git fetches from the repository's folder: what it would get from this process by HTTP, several processes sooner. */
async function startLocalRunner(server: Server, place: string, project: Project, tags: string[], log: RunnerLog) {
  const [{ startRunner }, { executorNamed }] = await Promise.all([
    import('../../runner/start-runner.js'),
    import('../executor.js'),
  ])
  const { token } = await createRunner(server.core, { type: 'instance', description: os.hostname(), tags })
  return startRunner({
    url: server.httpUrl,
    token,
    transport: 'websocket',
    executor: await executorNamed('shell', undefined, log),
    concurrency: os.availableParallelism(),
    workDir: path.join(place, 'work'),
    insteadOf: { url: `${server.httpUrl}/${project.fullPath}.git`, base: `file://${repositoryOf(place, project)}` },
    log,
  })
}

/** Manual jobs run only when they are named. Gives whether any was started. */
async function playNamed(server: Server, jobs: readonly JobView[], names: readonly string[]): Promise<boolean> {
  let played = false
  for (const job of jobs) {
    const named = names.some(
      (name) => job.name === name || job.name.startsWith(`${name} `) || job.name.startsWith(`${name}:`),
    )
    if (job.status !== 'manual' || !named) continue
    await playJob(server.core, { jobId: job.id, userId: 1 })
    played = true
  }
  return played
}

/**
 * The first interrupt cancels the pipeline, once there is one; the next leaves at once. So does the end of the terminal:
 * nobody is there to press a key again.
 */
class Interrupts {
  happened = false
  cancel: (() => Promise<unknown>) | undefined
  readonly #say: (line: string) => void

  constructor(say: (line: string) => void) {
    this.#say = say
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, this.#interrupt)
    process.on('SIGHUP', leave)
  }

  ignore(): void {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, this.#interrupt)
    process.off('SIGHUP', leave)
  }

  readonly #interrupt = () => {
    if (this.happened || !this.cancel) return leave()
    this.happened = true
    this.#say('canceling; once more to leave at once')
    void this.cancel().catch(() => undefined)
  }
}

function leave(): void {
  process.exit(exitCodes.interrupted)
}

async function list(
  context: Context,
  tree: WorkingTree,
  configPath: string,
  jobs: string[],
  options: RunOptions,
): Promise<void> {
  const source = readFileSync(path.join(tree.root, configPath), 'utf8')
  const event = localEvent(tree, { source: 'push', configPath, variables: parseVariables(options.var ?? []) })
  const { variables } = event
  const compiled = await compileConfig(source, { file: configPath, variables, ...localIncludes(tree.root) })
  if (!compiled.ok) {
    const lines = compiled.errors.map(
      (error) => `${error.file ?? configPath}:${error.line ?? 1}: ${describeError(error)}`,
    )
    throw new Exit(exitCodes.usage, lines.join('\n'))
  }
  const planned = planLocally(tree, compiled.config, { ...event, ...(jobs.length > 0 ? { onlyJobs: jobs } : {}) })
  if (!planned.ok) throw new Exit(exitCodes.usage, planned.errors.map((error) => error.message).join('\n'))
  const rows = [...planned.plan.jobs].sort((a, b) => a.stageIndex - b.stageIndex).map(toListed)
  if (options.json) return context.json(rows)
  const { terminal } = context
  const widest = Math.max(...rows.map((row) => row.name.length))
  for (const row of rows) {
    const needs = row.needs === undefined ? '' : ` needs ${row.needs.map((need) => need.job).join(', ') || 'nothing'}`
    terminal.out(
      `${row.stage}  ${row.name.padEnd(widest)}  ${terminal.colors.dim(`${row.when}${row.allow_failure ? ', may fail' : ''}${needs}`)}`,
    )
  }
}

function toListed(job: JobPlan) {
  return {
    name: job.name,
    stage: job.stage,
    when: job.when,
    allow_failure: job.allowFailure,
    needs: job.needs?.map(({ job: name, artifacts, optional }) => ({ job: name, artifacts, optional })),
  }
}
