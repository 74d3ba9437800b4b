/** The gRPC status that a stream ends with, by the Goodbye before it. */
import grpc from '@grpc/grpc-js'
import { GoodbyeCode } from '../../gen/signalbox/runner/v1/runner.js'

const { status } = grpc

const statuses: Record<GoodbyeCode, grpc.status> = {
  [GoodbyeCode.GOODBYE_CODE_UNSPECIFIED]: status.OK,
  [GoodbyeCode.GOODBYE_CODE_DONE]: status.OK,
  [GoodbyeCode.GOODBYE_CODE_SHUTDOWN]: status.UNAVAILABLE,
  [GoodbyeCode.GOODBYE_CODE_SUPERSEDED]: status.ABORTED,
  [GoodbyeCode.GOODBYE_CODE_UNAUTHORIZED]: status.UNAUTHENTICATED,
  [GoodbyeCode.GOODBYE_CODE_SLOW_CONSUMER]: status.RESOURCE_EXHAUSTED,
  [GoodbyeCode.GOODBYE_CODE_PROTOCOL]: status.FAILED_PRECONDITION,
  [GoodbyeCode.GOODBYE_CODE_TIMEOUT]: status.DEADLINE_EXCEEDED,
  [GoodbyeCode.GOODBYE_CODE_OVERLOADED]: status.UNAVAILABLE,
  [GoodbyeCode.UNRECOGNIZED]: status.OK,
}

export function toStatus(code: GoodbyeCode): grpc.status {
  return statuses[code]
}
