/**
 * Bugs that are planted on purpose, to see that the simulator finds them: each exchanges one function of one module (or a
 * part of the core) for one that is wrong, in a fresh copy of everything.
 */
import { vi } from 'vitest'
import type * as ClockModule from '../../src/core/clock.js'
import type { TimeSource } from '../../src/core/clock.js'
import type { Core } from '../../src/core/core.js'
import type * as Failure from '../../src/core/failure.js'
import type { Lease } from '../../src/core/lease.js'
import type * as JobMachine from '../../src/core/lifecycle/job-machine.js'
import type { CoreParts } from '../../src/core/make-core.js'
import type * as Authenticate from '../../src/core/operations/authenticate.js'
import type { PipelineVariables } from '../../src/core/pipeline.js'
import type * as DispatcherModule from '../../src/core/scheduler/dispatcher.js'
import type * as Order from '../../src/core/scheduler/order.js'
import type * as PipelineContext from '../../src/core/steps/pipeline-context.js'
import type * as Jobs from '../../src/core/store/jobs.js'
import type * as LeaseRefusals from '../../src/core/store/lease-refusals.js'
import type * as LeaseTerms from '../../src/core/store/lease-terms.js'
import type * as Leases from '../../src/core/store/leases.js'
import type * as ProjectCounts from '../../src/core/store/project-counts.js'
import type * as Queue from '../../src/core/store/queue.js'
import type * as ResourceGroups from '../../src/core/store/resource-groups.js'
import type { Body, Store, Tx } from '../../src/core/store/write.js'
import { stuckSettings } from '../../src/core/stuck.js'

export interface Fault {
  bug: string
  /** What finds it. */
  invariant: string
  seed: number
  /** Exchanges modules. */
  plant?: () => void
  /** Exchanges parts of the core. */
  replace?: (parts: CoreParts) => CoreParts
}

const leases = '../../src/core/store/leases.js'
const leaseTerms = '../../src/core/store/lease-terms.js'
const leaseRefusals = '../../src/core/store/lease-refusals.js'

const exchanged = new Set<string>()

/** A module with some of its functions exchanged. */
function exchange<Module extends object>(path: string, wrong: (real: Module) => Partial<Module>): void {
  exchanged.add(path)
  vi.doMock(path, async (original) => {
    const real = (await original()) as Module
    return { ...real, ...wrong(real) }
  })
}

/** A fresh copy of everything, with this fault in it, or without any. */
export function plant(fault?: Fault): void {
  for (const path of exchanged) vi.doUnmock(path)
  exchanged.clear()
  vi.resetModules()
  fault?.plant?.()
}

export const faults: readonly Fault[] = [
  {
    bug: 'skips the fence: any lease of the job will do',
    invariant: 'a token lives as long as its lease',
    seed: 39,
    plant: () =>
      exchange<typeof Leases>(leases, ({ findLease, findOpenLease }) => ({
        findLease: async (from, jobId, fence) => (await findOpenLease(from, jobId)) ?? findLease(from, jobId, fence),
      })),
  },
  {
    bug: 'skips the owner: any manager renews a lease',
    invariant: 'only the owner writes',
    seed: 17,
    plant: () =>
      exchange<typeof LeaseTerms>(leaseTerms, ({ renewLeases }) => ({
        renewLeases: async (tx, managerId, list) => {
          const renewed = []
          for (const one of list) {
            const row = await tx.db
              .selectFrom('leases')
              .select('manager_id as owner')
              .where('job_id', '=', one.jobId)
              .where('fence', '=', one.fence)
              .executeTakeFirst()
            renewed.push(...(await renewLeases(tx, row?.owner ?? managerId, [one])))
          }
          return renewed
        },
      })),
  },
  {
    bug: 'revives a lease that has ended',
    invariant: 'an ended lease stays ended',
    seed: 119,
    plant: () =>
      exchange<typeof LeaseTerms>(leaseTerms, ({ renewLeases }) => ({
        renewLeases: async (tx, managerId, list) => {
          for (const { jobId, fence } of list) {
            await tx.db
              .updateTable('leases')
              .set({ status: 'held', ended_at: null })
              .where('job_id', '=', jobId)
              .where('fence', '=', fence)
              .where('manager_id', '=', managerId)
              .where('status', 'in', ['released', 'expired'])
              .execute()
          }
          return renewLeases(tx, managerId, list)
        },
      })),
  },
  {
    bug: 'forgets which manager let the job go',
    invariant: 'who let a job go is passed over for a while',
    seed: 62,
    plant: () =>
      exchange<typeof LeaseRefusals>(leaseRefusals, () => ({ excludedManagers: async () => new Set<number>() })),
  },
  {
    bug: 'acknowledges before the commit',
    invariant: 'what was acknowledged is kept',
    seed: 18,
    replace: (parts) => ({ ...parts, store: hasty(parts.store) }),
  },
  {
    bug: 'keeps variables that a body has read and that was rolled back',
    invariant: 'a payload is its own pipeline’s',
    seed: 475,
    plant: () =>
      exchange<typeof PipelineContext>('../../src/core/steps/pipeline-context.js', ({ variablesOf }) => {
        const kept = new WeakMap<Core, Map<number, PipelineVariables>>()
        return {
          variablesOf: async (core, tx, id) => {
            const known = kept.get(core) ?? new Map<number, PipelineVariables>()
            kept.set(core, known)
            const variables = known.get(id) ?? (await variablesOf(core, tx, id))
            known.set(id, variables)
            return variables
          },
        }
      }),
  },
  {
    bug: 'keeps what a transaction that has failed reserved',
    invariant: 'every job ends, or waits for a reason',
    seed: 515,
    plant: () =>
      exchange<typeof DispatcherModule>('../../src/core/scheduler/dispatcher.js', ({ Dispatcher }) => ({
        Dispatcher: class extends Dispatcher {
          override reserve(tx: Tx, waiter: DispatcherModule.Waiter): void {
            super.reserve(Object.create(tx, { onRollback: { value: () => undefined } }), waiter)
          }
        },
      })),
  },
  {
    bug: 'remembers demands before the commit',
    invariant: 'memory holds nothing but what is committed',
    seed: 9,
    plant: () =>
      exchange<typeof Queue>('../../src/core/store/queue.js', ({ demandId }) => ({
        demandId: (tx, cache, demand) =>
          demandId(Object.create(tx, { afterCommit: { value: (effect: () => void) => effect() } }), cache, demand),
      })),
  },
  {
    bug: 'lets two bodies share a transaction',
    invariant: 'what was acknowledged is kept',
    seed: 18,
    replace: (parts) => ({ ...parts, store: interleaving(parts.store) }),
  },
  {
    bug: 'counts terms by the wall clock',
    invariant: 'times are in order',
    seed: 19,
    plant: () =>
      exchange<typeof ClockModule>('../../src/core/clock.js', ({ SystemClock }) => ({
        SystemClock: class extends SystemClock {
          readonly #wall: () => number
          constructor(notBefore?: number, time?: TimeSource) {
            super(notBefore, time)
            this.#wall = () => Math.floor(time!.wall())
          }
          override now(): number {
            return this.#wall()
          }
        },
      })),
  },
  {
    bug: 'applies a second final report',
    invariant: 'final is final',
    seed: 44,
    plant: () => {
      const held = (lease: Lease | undefined): Lease | undefined =>
        lease?.status === 'released' ? { ...lease, status: 'held' } : lease
      exchange<typeof Leases>(leases, ({ findLease, lockLease, findOpenLease, endLease }) => ({
        findLease: async (from, jobId, fence) => held(await findLease(from, jobId, fence)),
        lockLease: async (...asked) => {
          const { job, lease } = await lockLease(...asked)
          return { job, lease: held(lease) }
        },
        endLease: async (tx, lease, end) =>
          (await findOpenLease(tx, lease.jobId)) ? endLease(tx, lease, end) : 'released',
      }))
      exchange<typeof JobMachine>('../../src/core/lifecycle/job-machine.js', ({ nextStatus }) => ({
        nextStatus: ((event, from, ...rest) => {
          const ended = from === 'success' || from === 'failed'
          return nextStatus(event, ended && (event === 'success' || event === 'drop') ? 'running' : from, ...rest)
        }) as typeof nextStatus,
      }))
    },
  },
  {
    bug: 'never tells anybody of a credit',
    invariant: 'every job ends, or waits for a reason',
    seed: 5,
    plant: () =>
      exchange<typeof DispatcherModule>('../../src/core/scheduler/dispatcher.js', ({ Dispatcher }) => ({
        Dispatcher: class extends Dispatcher {
          override seek(): void {}
          override async sweep(): Promise<void> {}
        },
      })),
  },
  {
    bug: 'lets a token outlive its lease',
    invariant: 'a token lives as long as its lease',
    seed: 1,
    plant: () =>
      exchange<typeof Authenticate>('../../src/core/operations/authenticate.js', ({ authenticateJob }) => ({
        authenticateJob: (core, token, scope, jobId) =>
          authenticateJob(core, token, scope, jobId).catch((error) => {
            if (!error.details?.lease) throw error
            return { job: { id: jobId } as never, lease: error.details.lease }
          }),
      })),
  },
  {
    bug: 'acknowledges log bytes that are not synced',
    invariant: 'a log is its owner’s, whole and in order',
    seed: 2,
    replace: (parts) => ({ ...parts, durable: false }),
  },
  {
    bug: 'keeps the share of an offer that came to nothing',
    invariant: 'shares count open leases',
    seed: 1,
    plant: () =>
      exchange<typeof ProjectCounts>('../../src/core/store/project-counts.js', () => ({
        uncountInstanceJob: () => undefined,
      })),
  },
  {
    bug: 'gives a resource that is taken',
    invariant: 'one job a resource',
    seed: 4,
    plant: () =>
      exchange<typeof ResourceGroups>('../../src/core/store/resource-groups.js', ({ findResourceGroup }) => ({
        takeResource: async () => true,
        findResourceGroup: async (tx, projectId, key) => {
          const group = await findResourceGroup(tx, projectId, key)
          return group && { ...group, holderJobId: null }
        },
      })),
  },
  {
    bug: 'serves the oldest job, whatever its project has running',
    invariant: 'the share of a project decides, then the age of a job',
    seed: 151,
    plant: () =>
      exchange<typeof Order>('../../src/core/scheduler/order.js', ({ bestHead }) => ({
        bestHead: (_, heads) => bestHead('project', heads),
      })),
  },
  {
    bug: 'forgets what jobs need',
    invariant: 'a job begins when those before it let it',
    seed: 1,
    plant: () => exchange<typeof Jobs>('../../src/core/store/jobs.js', () => ({ listPipelineNeeds: async () => [] })),
  },
  {
    bug: 'does not count the first retry',
    invariant: 'nothing is tried by itself more often than it says',
    seed: 46,
    plant: () =>
      exchange<typeof Failure>('../../src/core/failure.js', ({ retriesByItself }) => ({
        retriesByItself: (retry, failure, retries) => retriesByItself(retry, failure, Math.max(0, retries - 1)),
      })),
  },
  {
    bug: 'sweeps jobs that have just come',
    invariant: 'a sweep takes only what is old',
    seed: 66,
    replace: (parts) => ({
      ...parts,
      settings: { ...parts.settings, stuck: { ...stuckSettings('classic'), pendingMs: 0 } },
    }),
  },
]

/** Resolves a write when its body has ended, before the commit. */
function hasty(store: Store): Store {
  return {
    engine: store.engine,
    read: store.read,
    stats: store.stats,
    hear: (hearing) => store.hear(hearing),
    close: () => store.close(),
    write: <T>(body: Body<T>) =>
      new Promise<T>((resolve, reject) => {
        store
          .write(async (tx) => {
            const value = await body(tx)
            resolve(value)
            // The answer is on its way before the disk is asked.
            for (let i = 0; i < 50; i++) await Promise.resolve()
            return value
          })
          .catch(reject)
      }),
  }
}

/** Runs the bodies of a turn at once, as if they had a transaction each. */
function interleaving(store: Store): Store {
  let waiting: ((tx: Tx) => Promise<void>)[] = []
  return {
    engine: store.engine,
    read: store.read,
    stats: store.stats,
    hear: (hearing) => store.hear(hearing),
    close: () => store.close(),
    write: <T>(body: Body<T>) =>
      new Promise<T>((resolve, reject) => {
        waiting.push((tx) => body(tx).then(resolve, reject))
        if (waiting.length > 1) return
        setImmediate(() => {
          const bodies = waiting
          waiting = []
          store.write((tx) => Promise.all(bodies.map((one) => one(tx)))).catch(reject)
        })
      }),
  }
}
