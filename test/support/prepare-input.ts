/** What an executor is made ready with, for tests that call one themselves. */
import type { PrepareInput } from '../../src/plugins/sdk.js'

/** A job without image and services, in folders that scripts find where they are. */
export function prepareInput(session: string, folders: { build: string; temp: string }): PrepareInput {
  return {
    session,
    job: {
      id: 1,
      name: 'unit',
      projectId: 1,
      projectPath: 'acme/app',
      services: [],
      variables: {},
      publicVariables: {},
      credentials: [],
    },
    runner: { shortToken: 'TestRunne', slot: 0 },
    folders,
    inside: { builds: '/', ...folders },
  }
}

export const noOutput = async () => undefined
