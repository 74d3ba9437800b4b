/**
 * `signalbox run`: a coordinator and a runner live in this process for one pipeline, on loopback, with everything they keep
 * in a temporary folder.
 */
import os from 'node:os'
import path from 'node:path'
import { defaultSettings, type ServerSettings } from '../config/settings.js'
import { inThisThread } from '../core/ci-config/language.js'
import type { PlanVariable } from '../core/ci-config/variables.js'
import { SignalboxError } from '../core/errors.js'
import { cancelPipeline } from '../core/operations/cancel-pipeline.js'
import { createPipeline } from '../core/operations/create-pipeline.js'
import { createProject } from '../core/operations/create-project.js'
import { createRunner } from '../core/operations/create-runner.js'
import { playJob } from '../core/operations/play-job.js'
import { updateRunner } from '../core/operations/update-runner.js'
import type { Pipeline, PipelineSource } from '../core/pipeline.js'
import type { Project } from '../core/project.js'
import type { JobView } from '../core/store/job-views.js'
import { listDefinitions } from '../core/store/jobs.js'
import { findUser } from '../core/store/users.js'
import type { RunnerLog } from '../runner/events.js'
import { type Server, startServer } from '../server.js'
import { findContainers } from './containers.js'
import type { Context } from './context.js'
import { errorsOnly } from './errors-only.js'
import { Exit, exitCodes } from './exit.js'
import type { Interrupts } from './interrupts.js'
import { requestPath, requestSource, requestVariables } from './local-event.js'
import { documentOf, LocalFollower } from './local-follower.js'
import type { LocalIncludes } from './local-includes.js'
import { defaultBranchOf, eventRef, findRefs, type LocalRefs, pushedRefs } from './local-refs.js'
import { hasFailed, report } from './local-report.js'
import { fillRepository } from './local-repository.js'
import { findProjectPath } from './project-path.js'
import { fetchMissing, isPartial } from './promisor.js'
import { showPage } from './show-page.js'
import { type Snapshot, takeSnapshot } from './snapshot.js'
import { submoduleSources } from './submodules.js'
import type { WorkingTree } from './working-tree.js'

/** What is to run, and where. */
export interface LocalRun {
  /** A folder for everything that is kept while the pipeline runs. */
  place: string
  tree: WorkingTree
  /** The configuration's path from the repository's top. */
  configPath: string
  /** Only these and what they need; all if there are none. */
  jobs: string[]
  /** The jobs alone, without what they need. */
  alone: boolean
  /** What starts the pipeline: `CI_PIPELINE_SOURCE`. */
  source: PipelineSource
  /** The branch or tag that the working tree stands for; absent: the branch checked out. */
  ref: string | undefined
  /** The project's path; absent: that of `origin`. */
  project: string | undefined
  variables: PlanVariable[]
  /** Files of other projects and of the web. */
  includes: LocalIncludes
  /** Where caches stay between runs. */
  cacheDir: string
  /** What runs jobs that have an image; absent: containers, where an engine answers. */
  executor: 'shell' | 'docker' | undefined
  /** Where the artifacts of the jobs are left. */
  artifacts: string | undefined
  json: boolean
  /** Only the end is told. */
  quiet: boolean
  timestamps: boolean
  /** Also on the page, which stays until it is interrupted. */
  ui: boolean
  interrupts: Interrupts
}

/** Runs the pipeline to its end. Throws `Exit` for a file with errors, a pipeline that fails, an interrupt. */
export async function runLocally(context: Context, input: LocalRun): Promise<void> {
  const { terminal } = context
  const { place, tree, jobs, interrupts } = input
  const log = errorsOnly(terminal.say)
  if (tree.objectFormat !== 'sha1') {
    terminal.say(`warning: jobs see no history: the repository names its objects by ${tree.objectFormat}`)
  }
  const taking = takeSnapshot(tree, path.join(place, 'snapshot'))
  // It may fail while the coordinator starts; it is waited for below.
  taking.catch(() => undefined)
  const reading = Promise.all([findRefs(tree), input.project ?? findProjectPath(tree)])
  const looking = findContainers(input.executor, process.env)
  looking.catch(() => undefined)
  const server = await startServer({
    settings: settingsFor(place),
    log,
    language: inThisThread,
    fatal: (error) => log.error({ err: error }, 'the temporary store failed'),
    ephemeral: true,
    elsewhere: input.includes,
  })
  try {
    const snapshot = await taking
    if (isPartial(tree)) await fetchMissing(snapshot.env, snapshot.sha, givenDepth(input.variables) ?? gitDepth)
    const [refs, projectPath] = await reading
    const containers = await looking
    const { project, pipeline } = await start(server, input, { snapshot, refs, projectPath })
    const { tags, triggers } = await tagsAndWarnings(server, pipeline, containers, terminal.say)
    await fetchDeeper(server, input, snapshot, pipeline)
    const runner = await startLocalRunner(server, input, { project, tags, containers }, log)
    const follower = new LocalFollower(server.core, pipeline, terminal, {
      quiet: input.json || input.quiet,
      timestamps: input.timestamps,
      triggers,
      play: (waiting) => playNamed(server, waiting, jobs),
      onChild: (id) => runner.matchTagsOf(id),
    })
    interrupts.cancel = () =>
      Promise.allSettled(follower.pipelineIds.map((pipelineId) => cancelPipeline(server.core, { pipelineId })))
    const address = `${server.httpUrl}${pagePath(project, pipeline)}#token=${server.adminToken}`
    if (input.ui) showPage(terminal, process.env, address)
    const last = await follower.end()
    await runner.close()
    if (input.artifacts) {
      const { unpackArtifacts } = await import('./local-artifacts.js')
      await unpackArtifacts(server.core, last, input.artifacts)
    }
    if (input.json) context.json(documentOf(last))
    else report(terminal, last, follower)
    if (input.ui && !interrupts.happened) {
      terminal.say('the page is there until you interrupt')
      await interrupts.next()
    }
    if (interrupts.happened) throw new Exit(exitCodes.interrupted)
    if (hasFailed(last)) throw new Exit(exitCodes.failed)
  } finally {
    await server.close()
  }
}

const pagePath = (project: Project, pipeline: Pipeline) => `/${project.fullPath}/-/pipelines/${pipeline.id}`

function settingsFor(place: string): ServerSettings {
  return { ...defaultSettings(path.join(place, 'data')), http: '127.0.0.1:0', logLevel: 'error' }
}

/** The project with the snapshot as its branch, and the pipeline of it. */
async function start(
  server: Server,
  input: LocalRun,
  { snapshot, refs, projectPath }: { snapshot: Snapshot; refs: LocalRefs; projectPath: string },
): Promise<{ project: Project; pipeline: Pipeline }> {
  const { core } = server
  const user = (await findUser(core.store.read, 1))!
  const { tree } = input
  const defaultBranch = defaultBranchOf(tree, refs)
  const about = eventRef(tree, refs, input.ref)
  const ref = `refs/${about.tag ? 'tags' : 'heads'}/${about.ref}`
  const project = await createProject(core, {
    path: projectPath,
    defaultBranch,
    configPath: input.configPath,
    user,
  })
  fillRepository(repositoryOf(input.place, project), { tree, snapshot, refs, ref })
  try {
    const pipeline = await createPipeline(core, {
      projectId: project.id,
      ref,
      ...(about.detached ? { requestRef: ref } : {}),
      ...(input.source === requestSource ? requestOf(about.ref, defaultBranch, refs) : {}),
      source: input.source,
      user,
      variables: input.variables,
      onInvalid: 'refuse',
      ...(input.jobs.length > 0 ? { onlyJobs: input.jobs, alone: input.alone } : {}),
    })
    await core.repositories.pinsSettled(project.id)
    return { project, pipeline: pipeline! }
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'invalid') {
      throw new Exit(exitCodes.failed, `${input.configPath}: ${error.message}`)
    }
    if (error instanceof SignalboxError && error.code === 'not_found') {
      throw new Exit(exitCodes.notFound, error.message)
    }
    throw error
  }
}

/** What a request to merge the branch into the default one would bring with it. */
function requestOf(branch: string, target: string, refs: LocalRefs) {
  const since = pushedRefs(refs).get(`refs/heads/${target}`)
  return {
    requestRef: requestPath,
    predefined: requestVariables(branch, target),
    ...(since === undefined ? {} : { changesSince: since }),
  }
}

/** How deep jobs fetch that say nothing of it. */
const gitDepth = 20

function givenDepth(variables: readonly PlanVariable[]): number | undefined {
  const value = variables.findLast(({ key }) => key === 'GIT_DEPTH')?.value
  return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : undefined
}

/** The file may ask for more history than was brought of a partial clone. */
async function fetchDeeper(server: Server, { tree, variables }: LocalRun, snapshot: Snapshot, pipeline: Pipeline) {
  if (!isPartial(tree) || givenDepth(variables) !== undefined) return
  const plans = await listDefinitions(server.core.store.read, pipeline.id)
  const depths = plans.map((plan) => givenDepth(plan.variables) ?? gitDepth)
  const deepest = depths.includes(0) ? 0 : Math.max(...depths)
  if (deepest === 0 || deepest > gitDepth) await fetchMissing(snapshot.env, snapshot.sha, deepest)
}

function repositoryOf(place: string, project: Project): string {
  return path.join(place, 'data', 'repositories', `${project.id}.git`)
}

/** Tags match anything here: the runner has all that the pipeline names. */
async function tagsAndWarnings(server: Server, pipeline: Pipeline, containers: boolean, say: (line: string) => void) {
  const plans = await listDefinitions(server.core.store.read, pipeline.id)
  const isServed = ({ services = [] }: (typeof plans)[number]) => services.length > 0
  if (!containers && plans.some((plan) => plan.image !== undefined || isServed(plan))) {
    say(
      'warning: no container engine is used: jobs with an image run in this machine’s shell, and services are not started',
    )
  } else if (plans.some((plan) => plan.image === undefined && isServed(plan))) {
    say('warning: services of jobs without an image are not started: these jobs run in this machine’s shell')
  }
  return {
    tags: [...new Set(plans.flatMap((plan) => plan.tags))],
    triggers: plans.some((plan) => plan.trigger !== undefined),
  }
}

/** Its git fetches from the repository's folder: what it would get from this process by HTTP, several processes sooner. */
async function startLocalRunner(
  server: Server,
  input: LocalRun,
  { project, tags, containers }: { project: Project; tags: string[]; containers: boolean },
  log: RunnerLog,
) {
  const { place } = input
  const [{ startRunner }, { localExecutor }] = await Promise.all([
    import('../runner/start-runner.js'),
    import('./local-executor.js'),
  ])
  const { runner, token } = await createRunner(server.core, { type: 'instance', description: os.hostname(), tags })
  const known = new Set(tags)
  const address = `${server.httpUrl}/${project.fullPath}.git`
  const started = await startRunner({
    url: server.httpUrl,
    token,
    transport: 'websocket',
    executor: await localExecutor(containers, log),
    concurrency: os.availableParallelism(),
    workDir: path.join(place, 'work'),
    insteadOf: [
      { url: address, base: `file://${repositoryOf(place, project)}` },
      ...submoduleSources(input.tree.root, address),
    ],
    cacheDir: input.cacheDir,
    log,
  })
  return {
    close: () => started.close(),
    /** The tags of a child pipeline are known when it is made. */
    async matchTagsOf(pipelineId: number): Promise<void> {
      const plans = await listDefinitions(server.core.store.read, pipelineId)
      const before = known.size
      for (const tag of plans.flatMap((plan) => plan.tags)) known.add(tag)
      if (known.size > before) await updateRunner(server.core, { runnerId: runner.id, tags: [...known] })
    },
  }
}

/** Manual jobs run only when they are named; a name stands for all of its `parallel` too. Returns whether any was started. */
async function playNamed(server: Server, jobs: readonly JobView[], names: readonly string[]): Promise<boolean> {
  let played = false
  for (const job of jobs) {
    const named = names.some((name) => {
      const mark = job.name.startsWith(name) ? job.name.slice(name.length) : undefined
      return mark !== undefined && /^( \d+\/\d+|: \[.*\])?$/.test(mark)
    })
    if (job.status !== 'manual' || !named) continue
    try {
      await playJob(server.core, { jobId: job.id, userId: 1 })
      played = true
    } catch (error) {
      // Canceled since it was read.
      if (!(error instanceof SignalboxError && error.code === 'invalid')) throw error
    }
  }
  return played
}
