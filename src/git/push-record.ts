/**
 * What is durable of a push. Before git sees it, a row says what it wants to change; when git has answered, the row says
 * what is still to be done about that; each pipeline is taken off in the transaction that makes it. So whatever ends this
 * process between, the next one knows what to do, and nothing is done twice.
 *
 * A row that a dead process has left does not say what git has made of it, and git may even have gone on by itself. The
 * refs say: seen backwards from where a ref is now, each push that led there was accepted.
 */
import type { Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import {
  insertPush,
  listPushes,
  type PendingRef,
  type PushedRef,
  type PushRow,
  savePending,
} from '../core/store/pushes.js'
import type { Tx } from '../core/store/write.js'
import { branchOrTag, isZero } from './ref-name.js'

/** GitLab's `PIPELINE_PROCESS_LIMIT`: further branches and tags of one push get no pipeline. */
export const pipelineLimit = 4

/** A git process that outlives its coordinator has no input any more, and ends well before. */
const undecidedMs = 3_600_000

/** What has a pipeline: branches and tags that were made or moved. */
export function withPipelines<T extends PushedRef>(commands: readonly T[]): T[] {
  return commands.filter(({ ref, before, after }) => branchOrTag(ref) && !isZero(after) && before !== after)
}

/** Keeps what a push wants; undefined: nothing of it is worth a row. Throws `unavailable`. */
export async function keepPush(
  core: Core,
  push: { projectId: number; userId: number | null; commands: readonly PushedRef[]; options: readonly string[] },
): Promise<number | undefined> {
  if (push.options.includes('ci.no_pipeline')) return undefined
  const commands = withPipelines(push.commands)
  if (commands.length === 0) return undefined
  return core.store.write((tx) =>
    insertPush(tx, { ...push, node: core.node, commands: [...push.commands], options: [...push.options] }),
  )
}

/**
 * Notes what git has accepted of a push; `live` are those whose process is this one. What older ones without a process
 * have done to the same refs is decided now, since these stood at `before`. Throws `unavailable`.
 */
export async function acceptPush(
  core: Core,
  id: number,
  { projectId, changes }: { projectId: number; changes: readonly PushedRef[] },
  live: ReadonlySet<number>,
  readRef: (ref: string) => string | undefined,
): Promise<void> {
  const stood = new Map(changes.map(({ ref, before }) => [ref, before]))
  await core.store.write(async (tx) => {
    const older = (await listPushes(tx, { node: core.node, projectId })).filter((one) => one.id < id)
    await decide(
      tx,
      older,
      live,
      (ref) => stood.get(ref) ?? readRef(ref) ?? none,
      (ref) => stood.has(ref),
    )
    await savePending(tx, id, null, toPending(changes))
  })
}

/** Decides about the pushes of dead processes by where the refs are now. Throws `unavailable`. */
export async function decideLeft(
  core: Core,
  projectId: number,
  live: ReadonlySet<number>,
  readRef: (ref: string) => string | undefined,
): Promise<void> {
  await core.store.write(async (tx) => {
    const pushes = await listPushes(tx, { node: core.node, projectId })
    await decide(tx, pushes, live, (ref) => readRef(ref) ?? none)
    for (const push of pushes) {
      if (push.pending !== null || live.has(push.id) || push.createdAt > tx.now - undecidedMs) continue
      await savePending(tx, push.id, null, [])
    }
  })
}

const none = '0'.repeat(40)

/**
 * `isFinal`: what has not led to where this ref was will not any more. Of the others nobody knows: git may be at work.
 */
async function decide(
  tx: Tx,
  pushes: readonly PushRow[],
  live: ReadonlySet<number>,
  at: (ref: string) => string,
  isFinal: (ref: string) => boolean = () => false,
): Promise<void> {
  for (const [push, accepted] of acceptedOf(pushes, at)) {
    if (push.pending !== null || live.has(push.id)) continue
    if (accepted.length > 0 || push.commands.some(({ ref }) => isFinal(ref)))
      await savePending(tx, push.id, null, toPending(accepted))
  }
}

/** Of each push, oldest first, the commands that led to where a ref is. */
export function acceptedOf<P extends Pick<PushRow, 'commands'>>(
  pushes: readonly P[],
  at: (ref: string) => string,
): Map<P, PushedRef[]> {
  const stands = new Map<string, string>()
  const accepted = new Map<P, PushedRef[]>()
  for (const push of [...pushes].reverse()) {
    const led = push.commands.filter(({ ref, after }) => (stands.get(ref) ?? at(ref)) === after)
    for (const { ref, before } of led) stands.set(ref, before)
    accepted.set(push, led)
  }
  return new Map([...accepted].reverse())
}

function toPending(changes: readonly PushedRef[]): PendingRef[] {
  const moved = withPipelines(changes).slice(0, pipelineLimit)
  return moved.map(({ ref, before, after }) => ({ ref, before, after, step: 'own', done: [] }))
}

/** The work on one push: knows what the row says, and takes one thing after the other off. */
export class PushWork {
  #stored: string

  constructor(
    private readonly core: Core,
    readonly id: number,
    readonly left: PendingRef[],
    stored: string,
  ) {
    this.#stored = stored
  }

  /**
   * Step: the first thing that is left is now `next`, or done (undefined). Throws `conflict` when somebody else was
   * quicker; then nothing of the transaction may be kept.
   */
  async move(tx: Tx, next: PendingRef | undefined): Promise<void> {
    const left = [...(next ? [next] : []), ...this.left.slice(1)]
    if (!(await savePending(tx, this.id, this.#stored, left))) {
      throw new SignalboxError('conflict', 'another has done this already')
    }
    tx.afterCommit(() => {
      this.left.splice(0, this.left.length, ...left)
      this.#stored = JSON.stringify(left)
    })
  }

  /** The same in a transaction of its own. */
  async moveOn(next: PendingRef | undefined): Promise<void> {
    await this.core.store.write((tx) => this.move(tx, next))
  }
}
