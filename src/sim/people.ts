/** Users who start, cancel, retry and play; an operator who pauses and runs things; and what befalls machines. */
import { asFault } from '../core/as-fault.js'
import { SignalboxError } from '../core/errors.js'
import { cancelJob } from '../core/operations/cancel-job.js'
import { cancelPipeline } from '../core/operations/cancel-pipeline.js'
import { createPipeline } from '../core/operations/create-pipeline.js'
import { playJob } from '../core/operations/play-job.js'
import { retryJob } from '../core/operations/retry-job.js'
import { retryPipeline } from '../core/operations/retry-pipeline.js'
import { updateRunner } from '../core/operations/update-runner.js'
import type { SimNode } from './node.js'
import type { Camera } from './picture.js'
import type { PollRunner } from './poll-runner.js'
import type { SimRandom } from './random.js'
import type { StreamRunner } from './stream-runner.js'
import { Unanswered, type World } from './world.js'

export type SimRunner = StreamRunner | PollRunner

/** What people find, and what happens to it. */
export interface Scene {
  world: World
  camera: Camera
  projectIds: readonly number[]
  runners: readonly SimRunner[]
}

/** How often a user does what, by name. */
const wishes = { submit: 5, cancelJob: 2, cancelPipeline: 1, retryJob: 2, retryPipeline: 1, playJob: 3 } as const
const chores = { pauseRunner: 2, resumeRunner: 3, runTask: 4, pauseTask: 1, resumeTask: 2 } as const
const mishaps = { crash: 3, crashAtCommit: 6, jump: 3, cut: 4, vanish: 3, lie: 6, fillDisk: 1 } as const

const tasks = [
  'expire_leases',
  'enqueue_due_jobs',
  'stuck_ci_jobs',
  'drop_timed_out',
  'assign_resources',
  'settle_bridges',
  'finish_work',
  'wake_runners',
]

const dayAndHourMs = 25 * 3_600_000

/** Sets everybody to work, until the world is healed. */
export function populate(scene: Scene): void {
  const { world } = scene
  const actors: [string, number, (random: SimRandom) => void][] = [
    ['user', 6000, (random) => wish(scene, random)],
    ['operator', 30_000, (random) => chore(scene, random)],
    ['fate', 12_000, (random) => befall(scene, random)],
    ['storage', 15_000, (random) => failCommits(world, random)],
    ['statements', 8000, (random) => failStatement(world, random)],
  ]
  for (const [name, pauseMs, act] of actors) {
    if (name === 'storage' && !world.weather.commitsFail) continue
    if (name === 'statements' && !world.weather.statementsFail) continue
    const random = world.random.fork(name)
    const again = () => {
      if (world.healed) return
      act(random)
      world.time.after(random.between(200, 2 * pauseMs), again)
    }
    world.time.after(random.int(1000), again)
  }
}

function wish(scene: Scene, random: SimRandom): void {
  const { world, camera, projectIds } = scene
  const { jobs, pipelines } = camera.take()
  const jobId = random.pick(jobs.slice(-10))?.id ?? 1
  const pipelineId = random.pick(pipelines.slice(-4))?.id ?? 1
  const name = pipelines.length === 0 ? 'submit' : random.weighted(wishes)
  const userId = 1
  const acts: Record<keyof typeof wishes, (node: SimNode) => Promise<unknown>> = {
    submit: async ({ core, admin }) => {
      const projectId = random.pick(projectIds)
      const pipeline = await createPipeline(core, {
        projectId,
        ref: 'main',
        source: 'api',
        user: admin,
        variables: [{ key: 'SUBMITTED_AT_STEP', value: String(world.step) }],
        onInvalid: 'refuse',
      })
      if (pipeline) world.oracle.pipelines.add(pipeline.id)
    },
    cancelJob: ({ core }) => cancelJob(core, { jobId, force: random.chance(0.3), userId }),
    cancelPipeline: ({ core }) => cancelPipeline(core, { pipelineId, userId }),
    retryJob: ({ core }) => retryJob(core, { jobId, userId }),
    retryPipeline: ({ core }) => retryPipeline(core, { pipelineId, userId }),
    playJob: ({ core }) =>
      playJob(core, { jobId: random.pick(jobs.filter((job) => job.status === 'manual'))?.id ?? jobId, userId }),
  }
  ask(world, `user ${name} ${name === 'submit' ? '' : name.endsWith('Job') ? jobId : pipelineId}`, acts[name])
}

function chore(scene: Scene, random: SimRandom): void {
  const { world } = scene
  const name = random.weighted(chores)
  const { runnerId } = random.pick(scene.runners).character
  const acts: Record<keyof typeof chores, (node: SimNode) => Promise<unknown>> = {
    pauseRunner: ({ core }) => updateRunner(core, { runnerId, paused: true }),
    resumeRunner: ({ core }) => updateRunner(core, { runnerId, paused: false }),
    runTask: (node) => node.tasks.run(random.pick(tasks)),
    pauseTask: (node) => node.tasks.setPaused('initial_pipeline_process', true),
    resumeTask: (node) => node.tasks.setPaused('initial_pipeline_process', false),
  }
  ask(world, `operator ${name} ${name.endsWith('Runner') ? runnerId : ''}`, acts[name])
}

function befall(scene: Scene, random: SimRandom): void {
  const { world, runners } = scene
  const { weather, node } = world
  const name = random.weighted(mishaps)
  const runner = random.pick(runners)
  const acts: Record<keyof typeof mishaps, () => void> = {
    crash: () => weather.crashes && downFor(world, random, () => world.crash()),
    crashAtCommit: () => {
      if (!weather.crashes || node.dead) return
      const when = random.pick(['before', 'after'] as const)
      node.connection.crash = { in: random.int(12), when }
      world.onceCrashed(() =>
        world.time.after(random.between(500, 20_000), () => {
          world.startNode().catch(asFault)
        }),
      )
    },
    jump: () => {
      if (!weather.clockJumps) return
      const ms = random.between(-dayAndHourMs, dayAndHourMs)
      world.note(`the wall clock is set by ${ms} ms`)
      world.time.jump(ms)
    },
    cut: () => weather.cuts && runner.cut(),
    vanish: () => runner.character.traits.has('vanishing') && runner.vanish(),
    lie: () => {
      if (!runner.character.traits.has('lying')) return
      const others = scene.camera
        .take()
        .leases.filter(
          (lease) => world.oracle.owners.get(`${lease.job_id}.${lease.fence}`) !== runner.character.systemId,
        )
      const other = random.pick(others.slice(-6))
      if (other) runner.lie({ jobId: other.job_id, fence: Math.max(1, other.fence + random.pick([0, 0, 0, -1, 1])) })
    },
    fillDisk: () => {
      if (!weather.diskFills) return
      world.note('the disk is full')
      world.disk.full = true
      world.time.after(random.between(500, 8000), () => {
        world.disk.full = false
      })
    },
  }
  acts[name]()
}

/** The next commits are refused, and the coordinator lives on: whatever they held was never there. */
function failCommits(world: World, random: SimRandom): void {
  if (!world.node.open) return
  world.node.connection.refusals = random.between(1, 3)
  world.note(`${world.node.connection.refusals} commits will fail`)
}

/** One of the next statements fails, wherever in whatever is done then. */
function failStatement(world: World, random: SimRandom): void {
  const { node, weather } = world
  if (!node.open) return
  const kind = random.weighted({ full: 4, rolledBack: 4, locked: 1, fatal: weather.engine === 'sqlite' ? 1 : 0 })
  const fault = { in: random.int(random.pick([4, 40])), kind }
  node.connection.fault = fault
  world.note(`a statement will fail: ${kind}`)
  if (kind !== 'fatal') return
  const downMs = random.between(500, 40_000)
  node.onFault = () =>
    world.time.after(downMs, () => {
      world.startNode().catch(asFault)
    })
}

function downFor(world: World, random: SimRandom, crash: () => void): void {
  if (world.node.dead) return
  crash()
  world.time.after(random.between(500, 40_000), () => {
    world.startNode().catch(asFault)
  })
}

/** Asks, and lets go: what is refused is refused, what is not answered may have been done. */
function ask(world: World, name: string, call: (node: SimNode) => Promise<unknown>): void {
  world.request(name, call).catch((error: unknown) => {
    if (!(error instanceof Unanswered || error instanceof SignalboxError)) throw error
  })
}
