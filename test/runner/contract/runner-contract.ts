import { describe } from 'vitest'
import type { TransportName } from '../../../src/runner/transports/transport.js'
import { artifactContract } from './artifacts.js'
import { cancelContract } from './cancel.js'
import { connectionContract } from './connection.js'
import { jobContract } from './jobs.js'
import { logContract } from './log.js'

/** What a runner promises, whatever it is connected by. */
export function runnerContract(transport: TransportName): void {
  describe(`a runner over ${transport}`, () => {
    jobContract(transport)
    logContract(transport)
    cancelContract(transport)
    connectionContract(transport)
    artifactContract(transport)
  })
}
