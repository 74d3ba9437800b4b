/**
 * Takes a merge train on: every car gets a pipeline of what the target branch would be after it; the first one that has
 * succeeded is merged; one that cannot be, leaves, and those behind it run anew. Each step is decided from what the store
 * and the repository say then, and done on condition that it still is so: after a stop the next run goes on.
 * Rules: https://docs.gitlab.com/ci/pipelines/merge_trains/#merge-train-workflow
 */

import { actingAs, canMergeInto } from '../authorize.js'
import type { Core } from '../core.js'
import { eachSafely } from '../each-safely.js'
import { SignalboxError } from '../errors.js'
import { is } from '../lifecycle/job-machine.js'
import type { TrainRun } from '../memory.js'
import type { TrainCar, TrainKey } from '../merge-train.js'
import type { Project } from '../project.js'
import { mayRunMerged } from '../protection.js'
import { takeOut } from '../steps/take-out-of-train.js'
import { getMergeRequest, saveMergeRequest } from '../store/merge-requests.js'
import { findCarByPipeline, listCars, listTrains, listTrainsOf, moveCar } from '../store/merge-train-cars.js'
import { findPipeline } from '../store/pipelines.js'
import { findProject } from '../store/projects.js'
import { findUser } from '../store/users.js'
import type { Tx } from '../store/write.js'
import { createPipeline } from './create-pipeline.js'
import { createTrainPipeline } from './create-train-pipeline.js'

/** GitLab's limit of the pipelines of one train at once. */
const atOnce = 20

/** Does all that can be done now; whoever asks meanwhile has it looked at once more. Returns how many were merged. */
export function runMergeTrain(core: Core, { projectId, targetBranch }: TrainKey): Promise<number> {
  const { trainRuns } = core.memory
  const key = `${projectId} ${targetBranch}`
  const known = trainRuns.get(key)
  if (known) {
    known.again = true
    return known.merged
  }
  const run: TrainRun = { again: true, merged: Promise.resolve(0) }
  trainRuns.set(key, run)
  run.merged = runOn(core, { projectId, targetBranch }, run, () => trainRuns.delete(key))
  return run.merged
}

/** `end` is called in the same turn that finds nothing more to do, so that nobody's wish is lost between. */
async function runOn(core: Core, train: TrainKey, run: TrainRun, end: () => void): Promise<number> {
  let merged = 0
  try {
    while (run.again) {
      run.again = false
      const done = await step(core, train)
      if (done !== 'waits') run.again = true
      if (done === 'merged') merged++
    }
    return merged
  } finally {
    end()
  }
}

/** All trains that are under way. Returns how many requests were merged. */
export async function runMergeTrains(core: Core): Promise<number> {
  let merged = 0
  await eachSafely(core.log, 'running a merge train', await listTrains(core.store.read), async (train) => {
    merged += await runMergeTrain(core, train)
  })
  return merged
}

/** The pipeline of a car has come to a stop. */
export async function followCar(core: Core, pipeline: { id: number; projectId: number }): Promise<void> {
  const car = await findCarByPipeline(core.store.read, pipeline)
  if (car) await runMergeTrain(core, car)
}

/** Branches of a project have been moved or deleted. */
export async function followBranches(core: Core, projectId: number, branches: readonly string[]): Promise<void> {
  for (const train of await listTrainsOf(core.store.read, projectId, branches)) {
    core.followUps.soon('run_merge_train', train)
  }
}

/** The next thing to do: `waits` when there is none until something changes. */
async function step(core: Core, train: TrainKey): Promise<'waits' | 'moved' | 'merged'> {
  const { read } = core.store
  const cars = await listCars(read, { ...train, scope: 'active' }, { limit: atOnce, offset: 0 }, 'asc')
  const [first] = cars
  const project = first && (await findProject(read, train.projectId))
  if (!project) return 'waits'
  if (first.status === 'merging') return arrive(core, project, first)
  const target = await core.repositories.resolve(project, `refs/heads/${train.targetBranch}`)
  let before = target?.sha
  for (const car of cars) {
    const fresh = car.pipelineId !== null && car.baseSha === before
    const trouble =
      before === undefined
        ? `${train.targetBranch} is no branch any more`
        : ((await troubleOf(core, project, car)) ?? (fresh ? await failureOf(core, car) : undefined))
    if (trouble !== undefined) {
      await core.store.write((tx) => takeOut(core, tx, car, trouble))
      return 'moved'
    }
    if (fresh && car === first && (await hasSucceeded(core, car))) {
      await core.store.write((tx) => moveCar(tx, car, 'merging'))
      return 'moved'
    }
    if (fresh) before = car.sha!
    else {
      const made = await createTrainPipeline(core, project, car, before!)
      if (made === undefined) return 'moved'
      before = made
    }
  }
  return 'waits'
}

/** Why a car cannot stay, whatever its pipeline says. */
async function troubleOf(core: Core, project: Project, car: TrainCar): Promise<string | undefined> {
  const request = await getMergeRequest(core.store.read, car.mergeRequestId)
  if (request.state !== 'opened') return `The merge request is ${request.state}`
  if (project.mirrored === 1) return 'The project mirrors another repository: nothing is merged here'
  const source = await core.repositories.resolve(project, `refs/heads/${request.sourceBranch}`)
  if (!source) return `${request.sourceBranch} is no branch any more`
  if (source.sha !== car.sourceSha) return 'The source branch was updated'
  if (!mayRunMerged(project, request.sourceBranch, car.targetBranch)) {
    return 'The source branch is protected, and the target branch is not'
  }
  const user = await findUser(core.store.read, car.userId)
  const may = await canMergeInto(core.store.read, actingAs(user), project, car.targetBranch)
  return may ? undefined : 'Who has added it may not merge any more'
}

/** Why its pipeline, which is up to date, takes it out. */
async function failureOf(core: Core, car: TrainCar): Promise<string | undefined> {
  const pipeline = await findPipeline(core.store.read, car.pipelineId!)
  if (!pipeline) return 'Its pipeline was deleted'
  const over = is('completed', pipeline.status) && pipeline.status !== 'success'
  return over ? `Pipeline ${pipeline.id} is ${pipeline.status}` : undefined
}

async function hasSucceeded(core: Core, car: TrainCar): Promise<boolean> {
  return (await findPipeline(core.store.read, car.pipelineId!))?.status === 'success'
}

/** Moves the branch, or finds that it was moved before a stop; one that somebody else has moved is no car's fault. */
async function arrive(core: Core, project: Project, car: TrainCar): Promise<'moved' | 'merged'> {
  const { targetBranch } = car
  const [from, to] = [car.baseSha!, car.sha!]
  const moved = await core.repositories.moveBranch(project, targetBranch, { from, to })
  if (!moved && !(await isIn(core, project, targetBranch, to))) {
    await core.store.write((tx) => moveCar(tx, car, 'fresh'))
    return 'moved'
  }
  await finishMerge(core, project, car)
  await followBranches(core, project.id, [targetBranch])
  return 'merged'
}

async function isIn(core: Core, project: Project, branch: string, sha: string): Promise<boolean> {
  const now = await core.repositories.resolve(project, `refs/heads/${branch}`)
  return now !== undefined && (await core.repositories.mergeBase(project, now.sha, sha)) === sha
}

/** The branch has a pipeline as after a push, made in the transaction that says so: never two, and none is forgotten. */
async function finishMerge(core: Core, project: Project, car: TrainCar): Promise<void> {
  const finish = async (tx: Tx): Promise<boolean> => {
    if (!(await moveCar(tx, car, 'merged'))) return false
    await saveMergeRequest(tx, car.mergeRequestId, { state: 'merged', mergeCommitSha: car.sha!, mergeError: null })
    return true
  }
  try {
    await createPipeline(core, {
      projectId: project.id,
      ref: `refs/heads/${car.targetBranch}`,
      sha: car.sha!,
      beforeSha: car.baseSha!,
      source: 'push',
      user: (await findUser(core.store.read, car.userId)) ?? null,
      onInvalid: 'keep',
      alongside: async (tx) => {
        if (!(await finish(tx))) throw new SignalboxError('conflict', 'the car has arrived already')
      },
    })
  } catch (error) {
    core.log.info({ err: error, project: project.id, ref: car.targetBranch }, 'a merge made no pipeline')
  }
  // Where there was none to make.
  await core.store.write(finish)
}
