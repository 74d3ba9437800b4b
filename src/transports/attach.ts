/**
 * A runner manager attaches: who it is, and what becomes of every lease that it believes to hold or that we believe it
 * holds. `runner-connection.ts` says Welcome with these verdicts.
 *
 * | runner says        | store says                | verdict                                                        |
 * | ------------------ | ------------------------- | -------------------------------------------------------------- |
 * | it holds the lease | open, and this manager's  | HELD: a full term, the log's durable length, a cancel if wanted |
 * | it holds the lease | anything else             | ABANDON                                                        |
 * | nothing            | held, another boot        | lost at once: the process that had it is gone                  |
 * | nothing            | held, same or unknown boot | lost after a renewal period in which it is not mentioned       |
 * | nothing            | offered                    | void: the offer was lost with the link                         |
 */
import type { Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import type { Lease } from '../core/lease.js'
import { acceptLease } from '../core/operations/accept-lease.js'
import { adoptLeases } from '../core/operations/adopt-leases.js'
import { authenticateRunner, contactRunner, runnerFacts } from '../core/operations/contact-runner.js'
import { loseLease } from '../core/operations/lose-lease.js'
import { renewLeases } from '../core/operations/renew-leases.js'
import { voidOffer } from '../core/operations/void-offer.js'
import type { Runner } from '../core/runner.js'
import type { RunnerFacts } from '../core/scheduler/match.js'
import { listOpenLeases } from '../core/store/leases.js'
import { findTrace } from '../core/store/traces.js'
import type { HeldLease, Hello, LeaseVerdict } from '../gen/signalbox/runner/v1/runner.js'
import type { Carrier } from './carrier.js'
import { cancelOf, fromHello, protocolVersion, toLeaseVerdict } from './convert.js'

const mostLeases = 1000

/** Who is at the other end of a stream. */
export interface Peer {
  readonly runner: Runner
  readonly managerId: number
  readonly facts: RunnerFacts
  /** Which start of the runner's process this is. */
  readonly bootId: string
}

/**
 * Authenticates a runner and notes the contact of its manager. Throws `unauthenticated` for an unknown token, `invalid` for
 * a hello without meaning, unsupported versions included.
 */
export async function identify(
  core: Core,
  carrier: Pick<Carrier, 'token' | 'remoteAddress'>,
  hello: Hello,
): Promise<Peer> {
  if (hello.protocolMin > protocolVersion || hello.protocolMax < protocolVersion) {
    throw new SignalboxError('invalid', `this node speaks version ${protocolVersion} of the protocol`, {
      details: { version: protocolVersion },
    })
  }
  if (hello.running.length > mostLeases) throw new SignalboxError('invalid', 'hello: too many running leases')
  const runner = await authenticateRunner(core, carrier.token || hello.token)
  const info = fromHello(hello, carrier.remoteAddress)
  const manager = await contactRunner(core, runner, info)
  return { runner, managerId: manager.id, facts: await runnerFacts(core, runner, info), bootId: hello.bootId }
}

/**
 * Ends or confirms every lease of the manager. `lastBoot`: the boot of its last stream, if this node has seen one.
 * Returns the verdicts for Welcome, and the leases that the runner has yet to mention.
 */
export async function reconcile(
  core: Core,
  { managerId }: Peer,
  hello: Hello,
  lastBoot: string | undefined,
): Promise<{ verdicts: LeaseVerdict[]; unmentioned: Lease[] }> {
  // First, so that a cancel is either read here or told here.
  await adoptLeases(core, managerId)
  const open = new Map((await listOpenLeases(core.store.read, managerId)).map((lease) => [lease.jobId, lease]))
  const verdicts: LeaseVerdict[] = []
  for (const held of hello.running) {
    const lease = open.get(held.jobId)
    if (lease?.fence === held.fence) open.delete(held.jobId)
    verdicts.push(await verdictOn(core, managerId, held, lease))
  }
  if (lastBoot !== undefined && lastBoot !== hello.bootId) {
    // Offers to the process that is gone will not be answered either.
    for (const lease of open.values()) await loseLease(core, lease, 'The runner was restarted and lost the job.')
    return { verdicts, unmentioned: [] }
  }
  // An offer that it does not know of has not arrived, and never will.
  for (const lease of open.values()) {
    if (lease.status === 'offered') await voidOffer(core, lease, 'undeliverable')
  }
  return { verdicts, unmentioned: [...open.values()].filter((lease) => lease.status === 'held') }
}

async function verdictOn(
  core: Core,
  managerId: number,
  held: HeldLease,
  lease: Lease | undefined,
): Promise<LeaseVerdict> {
  if (lease?.fence !== held.fence) return toLeaseVerdict(held, null, 'fenced')
  if (lease.status === 'offered') await acceptLease(core, { ...held, managerId })
  const [renewed] = await renewLeases(core, managerId, [held])
  if (!renewed || renewed.expiresInMs === null) return toLeaseVerdict(held, null, 'fenced')
  const trace = await findTrace(core.store.read, held.jobId)
  const wanted = lease.cancelMode !== null && lease.cancelAcked < lease.cancelRevision
  return toLeaseVerdict(held, renewed.expiresInMs, '', {
    logOffset: trace?.length ?? 0,
    ...(wanted ? { cancel: cancelOf(lease, core.settings.leases.cancelGraceMs) } : {}),
  })
}
