/**
 * One seed, from an empty coordinator to its end: for so many steps everybody does what is theirs and things go wrong;
 * after each step every invariant is asked. Then all is healed, and every job must come to an end, or wait for a reason
 * that has a name.
 */
import { SignalboxError } from '../core/errors.js'
import { is } from '../core/lifecycle/job-machine.js'
import type { CoreParts } from '../core/make-core.js'
import { authenticateJob } from '../core/operations/authenticate.js'
import { createProject } from '../core/operations/create-project.js'
import { createRunner } from '../core/operations/create-runner.js'
import { explainJob } from '../core/operations/explain-job.js'
import { updateRunner } from '../core/operations/update-runner.js'
import { processPipeline } from '../core/steps/process-pipeline.js'
import { lastEventId } from '../core/store/events.js'
import { getJob } from '../core/store/jobs.js'
import { SimDatabase } from './database.js'
import { invariants } from './invariants.js'
import type { Invariant } from './moment.js'
import { populate, type Scene, type SimRunner } from './people.js'
import { Camera, type Picture } from './picture.js'
import { PollRunner } from './poll-runner.js'
import { type Character, traits } from './runners.js'
import { childScript, scripts } from './scripts.js'
import { StreamRunner } from './stream-runner.js'
import { type Violation, World } from './world.js'

export interface SimulationOptions {
  /** An unsigned 32-bit number. */
  seed: number
  /** Steps before everything is healed; a step is one event. Default 300. */
  steps?: number
  /** Exchanges parts of the core before it is put together: how a fault is planted. */
  replace?: (parts: CoreParts) => CoreParts
}

export interface Outcome {
  seed: number
  /** Steps taken, those of the healing included. */
  steps: number
  /** Names everything that happened: two runs of a seed have the same. */
  hash: string
  jobs: number
  /** Lives that the coordinator had. */
  violation: (Violation & { step: number; last: readonly string[] }) | undefined
}

export const defaultSteps = 300
/** Longer than the longest term, the longest delay and all sweeps together. */
const drainMs = 20 * 60_000
const drainSteps = 6000
const tokensLooked = 8

/** Simulates seeds one after another on one database. */
export class Simulator {
  readonly #database: SimDatabase
  readonly #camera: Camera

  private constructor(database: SimDatabase) {
    this.#database = database
    this.#camera = new Camera(database)
  }

  static async open(): Promise<Simulator> {
    return new Simulator(await SimDatabase.open())
  }

  async run({ seed, steps = defaultSteps, replace = (parts) => parts }: SimulationOptions): Promise<Outcome> {
    this.#database.clear()
    const world = new World(seed, this.#database, replace)
    const run = new Run(world, this.#camera)
    try {
      await run.live(steps)
      if (!world.violation) await run.drain()
    } finally {
      world.healed = true
      world.node.kill()
    }
    const { violation, step, hash, last } = world
    return { seed, steps: step, hash, jobs: run.jobs, violation: violation && { ...violation, step, last } }
  }

  close(): void {
    this.#database.close()
  }
}

const refusals: ReadonlySet<string> = new Set(['fenced', 'unauthenticated'])

class Run {
  readonly #world: World
  readonly #camera: Camera
  #scene!: Scene
  #before: Picture | undefined

  constructor(world: World, camera: Camera) {
    this.#world = world
    this.#camera = camera
  }

  get jobs(): number {
    return this.#before?.jobs.length ?? 0
  }

  async live(steps: number): Promise<void> {
    const world = this.#world
    const { weather } = world
    world.note(JSON.stringify(weather))
    await this.#settled(world.startNode())
    this.#scene = await this.#settled(this.#setUp())
    populate(this.#scene)
    const hurry = world.random.fork('hurry')
    while (world.step < steps && !world.violation) {
      const hurried = weather.hurried && hurry.chance(0.5)
      await this.#step(hurried ? hurry.int(6) : undefined)
    }
  }

  /** Heals everything, and waits until nobody moves any more. */
  async drain(): Promise<void> {
    const world = this.#world
    await world.turns.settle()
    world.healed = true
    world.disk.full = false
    world.note('all is healed')
    world.node.connection.crash = undefined
    world.node.connection.refusals = 0
    world.node.connection.fault = undefined
    await this.#settled(world.startNode())
    await this.#settled(this.#resumeAll())
    const until = world.time.monotonic() + drainMs
    for (let steps = 0; steps < drainSteps && world.time.monotonic() < until && !world.violation; steps++) {
      await this.#step()
      if (steps % 20 === 0 && (await this.#settled(this.#atRest()))) break
    }
    if (!world.violation) await this.#settled(this.#checkRest())
  }

  /** One event and what follows from it; `turns`: no longer than so many turns of the event loop. */
  async #step(turns?: number): Promise<void> {
    const world = this.#world
    world.step++
    world.time.step()
    if (turns === undefined) await world.turns.settle()
    else await world.turns.pass(turns)
    while (this.#camera.busy) await world.turns.pass(1)
    this.#check()
    if (turns === undefined && world.step % 10 === 0) await this.#settled(this.#checkTokens())
  }

  #check(): void {
    const now = this.#camera.take()
    if (now === this.#before) return
    const moment = { world: this.#world, now, before: this.#before, camera: this.#camera }
    this.#note(now)
    for (const invariant of invariants) this.#ask(invariant, moment)
    this.#before = now
  }

  #ask({ name, broken }: Invariant, moment: Parameters<Invariant['broken']>[0]): void {
    const what = broken(moment)
    if (what !== undefined) this.#world.fail(name, what)
  }

  /** What has become of jobs is part of what has happened. */
  #note(now: Picture): void {
    const known = new Map(this.#before?.jobs.map((job) => [job.id, job.status]))
    for (const job of now.jobs) {
      if (known.get(job.id) !== job.status)
        this.#world.note(`job ${job.id} ${job.name}: ${known.get(job.id) ?? 'new'} → ${job.status}`)
    }
  }

  /** A token opens its own job, as long as its lease is open and no longer. */
  async #checkTokens(): Promise<void> {
    const { node, oracle } = this.#world
    if (!node.open) return
    for (const { token, jobId, fence } of oracle.tokens.slice(-tokensLooked)) {
      const opens = await authenticateJob(node.core, token, 'job', jobId).then(
        () => true,
        (error: unknown) => {
          const { code } = SignalboxError.from(error)
          if (!node.dead && code !== 'unavailable' && !refusals.has(code)) throw error
          return code === 'unavailable' ? undefined : false
        },
      )
      if (node.dead || opens === undefined) return
      const { jobs, leases } = this.#camera.take()
      const lease = leases.find((one) => one.job_id === jobId && one.fence === fence)
      const expired = (jobs.find((job) => job.id === jobId)?.token_expires_at ?? 0) <= node.clock.now()
      const isOpen = !expired && (lease?.status === 'offered' || lease?.status === 'held')
      if (opens !== isOpen)
        this.#world.fail('a token lives as long as its lease', `${jobId}.${fence} ${isOpen ? 'is open' : 'has ended'}`)
    }
  }

  async #setUp(): Promise<Scene> {
    const world = this.#world
    const random = world.random.fork('scene')
    const { core, admin } = world.node
    const projectIds: number[] = []
    for (let i = 0; i < random.between(1, 3); i++) {
      const project = await createProject(core, { path: `g/p${i}`, user: admin })
      const script = JSON.stringify(random.pick(scripts))
      world.repositories.commitFiles(project.id, { '.gitlab-ci.yml': script, 'child.yml': JSON.stringify(childScript) })
      projectIds.push(project.id)
    }
    const runners: SimRunner[] = []
    for (let i = 0; i < random.between(2, 4); i++) runners.push(await this.#hire(i, projectIds))
    return { world, camera: this.#camera, projectIds, runners }
  }

  async #hire(index: number, projectIds: readonly number[]): Promise<SimRunner> {
    const world = this.#world
    const random = world.random.fork(`runner ${index}`)
    // The first can take every job, so that what waits for a runner in the end waits for nobody.
    const able = index === 0
    const forProject = !able && random.chance(0.3)
    const { runner, token } = await createRunner(world.node.core, {
      ...(forProject ? { type: 'project', projectId: random.pick(projectIds) } : { type: 'instance' }),
      tags: able || random.chance(0.5) ? ['t'] : [],
      runUntagged: true,
    })
    const features = ['return_exit_code', 'upload_multiple_artifacts', 'artifacts_exclude', 'fallback_cache_keys']
    if (random.chance(0.7)) features.push('cancel_gracefully')
    const character: Character = {
      systemId: `s_${index}`,
      token,
      runnerId: runner.id,
      traits: new Set(traits.filter(() => random.chance(0.3))),
      features: features.sort(),
      capacity: random.between(1, 3),
      random,
    }
    if (random.chance(0.5)) return new StreamRunner(world, character)
    return new PollRunner(world, character, random.pick(['rest_two_phase', 'rest']))
  }

  async #resumeAll(): Promise<void> {
    const { core, tasks } = this.#world.node
    await tasks.setPaused('initial_pipeline_process', false)
    for (const { character } of this.#scene.runners)
      await updateRunner(core, { runnerId: character.runnerId, paused: false })
  }

  async #atRest(): Promise<boolean> {
    const { node } = this.#world
    const waiting = this.#camera.take().jobs.filter((job) => !is('completed', job.status))
    for (const { id } of waiting) if (!(await this.#mayWait(id))) return false
    return node.core.traces.sessions === 0
  }

  /** Whether the job waits for what nobody here will do. */
  async #mayWait(id: number): Promise<boolean> {
    const { core } = this.#world.node
    const { waitsFor, blockedBy = [] } = await explainJob(core, await getJob(core.store.read, id))
    if (waitsFor === 'person') return true
    if (waitsFor !== 'earlier_jobs' && waitsFor !== 'downstream') return false
    if (waitsFor === 'downstream') return this.#childWaits(id)
    for (const one of blockedBy) if (!(await this.#mayWait(one.id))) return false
    return blockedBy.length > 0
  }

  async #childWaits(id: number): Promise<boolean> {
    const { jobs, pipelines } = this.#camera.take()
    const child = pipelines.find((pipeline) => pipeline.source_job_id === id)
    const alive = jobs.filter(
      (job) => job.pipeline_id === child?.id && job.retried === 0 && !is('completed', job.status),
    )
    for (const job of alive) if (!(await this.#mayWait(job.id))) return false
    return alive.length > 0
  }

  /** At rest: nobody is forgotten, nothing is left over, and processing once more changes nothing. */
  async #checkRest(): Promise<void> {
    const world = this.#world
    const { core } = world.node
    const { jobs, leases, pipelines } = this.#camera.take()
    for (const job of jobs.filter((one) => !is('completed', one.status))) {
      if (await this.#mayWait(job.id)) continue
      const { summary } = await explainJob(core, await getJob(core.store.read, job.id))
      world.fail('every job ends, or waits for a reason', `job ${job.id} is ${job.status}: ${summary}`)
    }
    const open = leases.filter((lease) => lease.status === 'offered' || lease.status === 'held')
    if (open.length > 0) world.fail('nothing is left over', `${open.length} leases are open`)
    if (core.traces.sessions > 0) world.fail('nothing is left over', `${core.traces.sessions} logs are open`)
    if (core.dispatcher.violations > 0)
      world.fail('no runner idles beside its job', `${core.dispatcher.violations} times`)
    const twice = this.#camera.endedTwice()
    if (twice !== undefined) world.fail('a job ends once', `job ${twice} has ended more than once`)
    const before = await lastEventId(core.store.read)
    for (const { id } of pipelines) await core.store.write((tx) => processPipeline(core, tx, id))
    if ((await lastEventId(core.store.read)) !== before)
      world.fail('processing twice is processing once', 'a second pass changed something')
  }

  /** Waits for `work`, and for what it has set in motion. */
  async #settled<T>(work: Promise<T>): Promise<T> {
    const value = await work
    await this.#world.turns.settle()
    return value
  }
}
