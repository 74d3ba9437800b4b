/** Nobody gives or takes a level above the own one. */
import { type Actor, levelInPlace } from '../authorize.js'
import { SignalboxError } from '../errors.js'
import type { Place } from '../member.js'
import type { Tx } from '../store/write.js'

/** Throws `forbidden` where the actor's own level is lower. */
export async function requireLevel(tx: Tx, by: Actor, place: Place, level: number): Promise<void> {
  if ((await levelInPlace(tx, by.user, place)) >= level) return
  throw new SignalboxError('forbidden', 'a level above your own is not yours to give or take')
}
