/** The jobs that count for a pipeline, as what is known of it: kept up to date with what is read and written of each. */
import type { Job } from '../job.js'
import type { JobStatus } from '../lifecycle/job-machine.js'

/** What processing looks at in a pipeline's current jobs. */
export interface CurrentJob {
  id: number
  name: string
  status: JobStatus
  allowFailure: number
  stageId: number
  stagePosition: number
  scheduling: 'stage' | 'dag'
  runWhen: string
  enqueueAtOnce: number
}

/** The same, and when it ran. */
export type CurrentRun = CurrentJob & Pick<Job, 'startedAt' | 'finishedAt'>

/** Of a pipeline with more jobs nothing is kept: a node knows many pipelines at once. */
const mostKept = 500

/** All current jobs of one pipeline: of those that were retried the newest. */
export class CurrentJobs {
  readonly #byId: Map<number, CurrentRun>
  #sorted: CurrentRun[] | undefined

  constructor(jobs: readonly CurrentRun[]) {
    this.#byId = new Map(jobs.map((job) => [job.id, job]))
  }

  /** Keeps them for a pipeline, unless they are too many. */
  static keep(
    known: { set(id: number, jobs: CurrentJobs): void },
    pipelineId: number,
    jobs: readonly CurrentRun[],
  ): void {
    if (jobs.length <= mostKept) known.set(pipelineId, new CurrentJobs(jobs.map((job) => ({ ...job }))))
  }

  /** The same with a job as it is stored now; undefined: they have become too many. */
  noting(job: Readonly<Job>): this | undefined {
    this.#note(job)
    return this.#byId.size > mostKept ? undefined : this
  }

  #note(job: Readonly<Job>): void {
    const known = this.#byId.get(job.id)
    if (job.retried === 1) {
      if (this.#byId.delete(job.id)) this.#sorted = undefined
      return
    }
    if (known) {
      Object.assign(known, runOf(job))
      return
    }
    this.#byId.set(job.id, runOf(job))
    this.#sorted = undefined
  }

  /** In stage order; not to be changed. */
  list(): readonly Readonly<CurrentRun>[] {
    this.#sorted ??= [...this.#byId.values()].sort((a, b) => a.stagePosition - b.stagePosition || a.id - b.id)
    return this.#sorted
  }

  /** Whether another job of its stage is pending or running, and no created job is ordered by needs. */
  isQuietWithout(job: Readonly<Job>): boolean {
    const list = this.list()
    const lives = ({ id, stagePosition, status }: CurrentRun) =>
      stagePosition === job.stagePosition && id !== job.id && (status === 'pending' || status === 'running')
    // From the last one backwards: those that are still alive are found there, behind all that have ended.
    if (list.findLast(lives) === undefined) return false
    return !list.some(({ status, scheduling }) => status === 'created' && scheduling === 'dag')
  }
}

function runOf(job: Readonly<Job>): CurrentRun {
  return {
    id: job.id,
    name: job.name,
    status: job.status,
    allowFailure: job.allowFailure,
    stageId: job.stageId,
    stagePosition: job.stagePosition,
    scheduling: job.scheduling,
    runWhen: job.runWhen,
    enqueueAtOnce: job.enqueueAtOnce,
    startedAt: job.startedAt,
    finishedAt: job.finishedAt,
  }
}
