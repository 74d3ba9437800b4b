/** The WebSocket close code that a stream ends with, by the Goodbye before it. */
import { GoodbyeCode } from '../../gen/signalbox/runner/v1/runner.js'

export const closeCodes = {
  done: 1000,
  goingAway: 1001,
  wrongFrame: 1003,
  policy: 1008,
  tryLater: 1013,
  superseded: 4000,
} as const

const byGoodbye: Record<GoodbyeCode, number> = {
  [GoodbyeCode.GOODBYE_CODE_UNSPECIFIED]: closeCodes.done,
  [GoodbyeCode.GOODBYE_CODE_DONE]: closeCodes.done,
  [GoodbyeCode.GOODBYE_CODE_SHUTDOWN]: closeCodes.goingAway,
  [GoodbyeCode.GOODBYE_CODE_SUPERSEDED]: closeCodes.superseded,
  [GoodbyeCode.GOODBYE_CODE_UNAUTHORIZED]: closeCodes.policy,
  [GoodbyeCode.GOODBYE_CODE_SLOW_CONSUMER]: closeCodes.tryLater,
  [GoodbyeCode.GOODBYE_CODE_PROTOCOL]: closeCodes.policy,
  [GoodbyeCode.GOODBYE_CODE_TIMEOUT]: closeCodes.policy,
  [GoodbyeCode.GOODBYE_CODE_OVERLOADED]: closeCodes.tryLater,
  [GoodbyeCode.UNRECOGNIZED]: closeCodes.done,
}

export function toCloseCode(code: GoodbyeCode): number {
  return byGoodbye[code]
}
