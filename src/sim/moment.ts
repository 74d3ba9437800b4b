/** What invariants look at, and the words that they share. */
import { nameOf } from './oracle.js'
import type { Camera, Picture } from './picture.js'
import type { World } from './world.js'

export interface Moment {
  world: World
  now: Picture
  before: Picture | undefined
  /** For what is not in the pictures. */
  camera: Camera
}

export interface Invariant {
  name: string
  /** What is wrong, or undefined. */
  broken(moment: Moment): string | undefined
}

/** A row of a table in a picture. */
export type Row<Table extends keyof Picture> = Picture[Table][number]

export const isOpen = (lease: Row<'leases'>) => lease.status === 'offered' || lease.status === 'held'
export const leaseName = (lease: Row<'leases'>) => nameOf({ jobId: lease.job_id, fence: lease.fence })

/** The first of the rows that `says` finds something wrong with. */
export function each<T>(rows: readonly T[], says: (row: T) => string | undefined): string | undefined {
  for (const row of rows) {
    const wrong = says(row)
    if (wrong !== undefined) return wrong
  }
  return undefined
}

/** What statuses of stages and pipelines are folded from. */
export const partsOf = (jobs: readonly Row<'jobs'>[]) =>
  jobs.map((job) => ({ status: job.status, allowFailure: job.allow_failure === 1 }))
