/**
 * A runner manager attaches: it is authenticated, filed, and told about every lease that it believes to hold or that we
 * believe it holds. Welcome is the answer; after it the stream is open.
 *
 * | runner says        | store says                | verdict                                                        |
 * | ------------------ | ------------------------- | -------------------------------------------------------------- |
 * | it holds the lease | open, and this manager's  | HELD: a full term, the log's durable length, a cancel if wanted |
 * | it holds the lease | anything else             | ABANDON                                                        |
 * | nothing            | held, another boot        | lost at once: the process that had it is gone                  |
 * | nothing            | held, same or unknown boot | lost after a renewal period in which it is not mentioned       |
 * | nothing            | offered                    | void: the offer was lost with the link                         |
 */
import { SignalboxError } from '../core/errors.js'
import type { Lease } from '../core/lease.js'
import { acceptLease } from '../core/operations/accept-lease.js'
import { authenticateRunner, contactRunner, runnerFacts } from '../core/operations/contact-runner.js'
import { loseLease } from '../core/operations/lose-lease.js'
import { renewLeases } from '../core/operations/renew-leases.js'
import { voidOffer } from '../core/operations/void-offer.js'
import { listOpenLeases } from '../core/store/leases.js'
import { findTrace } from '../core/store/traces.js'
import type { HeldLease, Hello, LeaseVerdict } from '../gen/signalbox/runner/v1/runner.js'
import { cancelOf, fromHello, maxLogChunkBytes, maxMessageBytes, protocolVersion, toLeaseVerdict } from './convert.js'
import type { RunnerConnection } from './runner-connection.js'

const mostLeases = 1000

/**
 * Throws `unauthenticated` for an unknown token, `invalid` for a hello without meaning, `unsupported` versions included.
 */
export async function attach(connection: RunnerConnection, hello: Hello): Promise<void> {
  const { core, hub, carrier } = connection
  if (hello.protocolMin > protocolVersion || hello.protocolMax < protocolVersion) {
    throw new SignalboxError('invalid', `this node speaks version ${protocolVersion} of the protocol`, {
      details: { version: protocolVersion },
    })
  }
  if (hello.running.length > mostLeases) throw new SignalboxError('invalid', 'hello: too many running leases')
  const runner = await authenticateRunner(core, carrier.token || hello.token)
  const info = fromHello(hello, carrier.remoteAddress)
  const manager = await contactRunner(core, runner, info)
  connection.runner = runner
  connection.managerId = manager.id
  connection.bootId = hello.bootId
  connection.facts = await runnerFacts(core, runner, info)
  // It may have gone meanwhile; from here on its end is noticed by the hub.
  if (connection.state === 'closed') return
  const lastBoot = hub.register(connection)
  const verdicts = await reconcile(connection, hello, lastBoot)
  const { leases } = core.settings
  connection.send({
    $case: 'welcome',
    value: {
      protocol: protocolVersion,
      epoch: connection.epoch,
      node: core.node,
      runnerId: runner.id,
      pingIntervalMs: hub.pingIntervalMs,
      leaseMs: leases.stream.heldForMs,
      renewEveryMs: leases.renewEveryMs,
      maxMessageBytes,
      maxLogChunkBytes,
      logWindowBytes: hub.logWindowBytes,
      httpUrl: core.externalUrl(),
      verdicts,
      protocolFeatures: [],
    },
  })
  connection.opened()
}

async function reconcile(
  connection: RunnerConnection,
  hello: Hello,
  lastBoot: string | undefined,
): Promise<LeaseVerdict[]> {
  const { core, managerId } = connection
  const open = new Map((await listOpenLeases(core.store.read, managerId)).map((lease) => [lease.jobId, lease]))
  const verdicts: LeaseVerdict[] = []
  for (const held of hello.running) {
    const lease = open.get(held.jobId)
    if (lease?.fence === held.fence) open.delete(held.jobId)
    verdicts.push(await verdictOn(connection, held, lease))
  }
  const unmentioned = [...open.values()].filter((lease) => lease.status === 'held')
  if (lastBoot !== undefined && lastBoot !== hello.bootId) {
    // Offers to the process that is gone will not be answered either.
    for (const lease of open.values()) await loseLease(core, lease, 'The runner was restarted and lost the job.')
  } else {
    // An offer that it does not know of has not arrived, and never will.
    for (const lease of open.values()) {
      if (lease.status === 'offered') await voidOffer(core, lease, 'undeliverable')
    }
    connection.suspect(unmentioned)
  }
  return verdicts
}

async function verdictOn(
  connection: RunnerConnection,
  held: HeldLease,
  lease: Lease | undefined,
): Promise<LeaseVerdict> {
  const { core, managerId } = connection
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
