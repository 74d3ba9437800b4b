/** Answers that stay open: they end when whoever reads them may not any more. */
import type { Actor } from '../core/authorize.js'
import type { EventKind } from '../core/events.js'
import type { UserCall } from '../http/call.js'
import { Params } from '../http/params.js'

/** What ends without a fact of its own, as a token whose day has come, is seen after so long at the latest. */
const eachMs = 15_000

/** By these somebody may lose what it could see. */
const takes: ReadonlySet<EventKind> = new Set([
  'token.revoked',
  'user.changed',
  'session.ended',
  'member.changed',
  'member.removed',
  'share.changed',
  'share.removed',
  'project.changed',
  'project.deleted',
  'group.changed',
  'group.deleted',
] as const)

/**
 * Until the returned function is called: cuts the answer of somebody who may not have it any more. The token or session is
 * looked at again and `may` asked every 15 s, and at once when a fact is committed by which somebody loses something.
 * `still` is called every 15 s if all is well.
 */
export function whileAllowed(
  call: UserCall,
  may: (actor: Actor) => Promise<boolean>,
  still: () => void = () => undefined,
): () => void {
  const { core, res } = call
  const look = async (then: () => void) => {
    const actor = await call.access.actor(call.req, new Params({}))
    if (actor !== undefined && (await may(actor))) then()
    else res.destroy()
  }
  const lookAgain = (then: () => void) => {
    look(then).catch(() => res.destroy())
  }
  // Of several facts at once one look sees all.
  let looking = false
  const soon = () => {
    if (looking) return
    looking = true
    setImmediate(() => {
      looking = false
      lookAgain(() => undefined)
    })
  }
  const stops = [
    core.clock.every(eachMs, () => lookAgain(still)),
    core.events.listen(({ kind }) => takes.has(kind) && soon()),
  ]
  return () => {
    for (const stop of stops) stop()
  }
}
