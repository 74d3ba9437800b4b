/** What a coordinator and a runner hand to hooks, in the form that they have there: for tests to ask with. */
import type { AdmissionRequest, Evidence, ExecutorFacts, PrepareInput } from '../sdk.js'

/** Evidence of a job of which nothing but its exit code 1 is known; `more` stands in the place of some of it. */
export function evidence(more: Partial<Evidence> = {}): Evidence {
  return {
    job: { id: 4, name: 'unit', stage: 'test', projectPath: 'acme/app' },
    runnerReason: 'script_failure',
    message: 'the script ended with exit code 1',
    exitCode: 1,
    signal: null,
    traceTail: '',
    executor: 'shell',
    facts: { platform: 'linux', architecture: 'amd64', version: '0.1.0', revision: 'HEAD' },
    attempts: [],
    ...more,
  }
}

/** Failures of several kinds, as classifiers are asked about them. */
export function recordedEvidence(): Record<string, Evidence> {
  const before = { jobId: 2, status: 'failed', reason: 'script_failure', class: 'script', exitCode: 1, runnerId: 1 }
  return {
    testFailure: evidence({
      traceTail: '$ npm test\nnot ok 1 - adds\n  AssertionError: expected 3 to be 4\n# pass 11\n# fail 1\n',
      attempts: [before],
    }),
    network: evidence({
      traceTail: '$ npm ci\nnpm error code ETIMEDOUT\nnpm error connect ETIMEDOUT 192.0.2.1:443\n',
      executor: 'docker',
    }),
    killed: evidence({
      exitCode: 137,
      signal: 'SIGKILL',
      message: 'the script ended with exit code 137',
      traceTail: '$ make -j8\nc++ -c big.cc\nKilled\n',
    }),
    runnerFault: evidence({
      runnerReason: 'runner_system_failure',
      message: 'no space left on device',
      exitCode: null,
      traceTail: '',
    }),
    timeout: evidence({ runnerReason: 'job_execution_timeout', message: 'the job ran for 1h 0m 0s', exitCode: null }),
    nothingKnown: evidence({ runnerReason: '', message: '', exitCode: null, facts: {}, executor: '' }),
    coordinatorAway: evidence({ coordinatorWasAway: true, traceTail: '$ ./wait\n' }),
  }
}

/** A job that may start on an instance runner, on a Monday at noon; `more` stands in the place of some of it. */
export function admissionRequest(
  more: { job?: Partial<AdmissionRequest['job']>; runner?: Partial<AdmissionRequest['runner']> } & Partial<
    Pick<AdmissionRequest, 'running' | 'now'>
  > = {},
): AdmissionRequest {
  const now = more.now ?? Date.UTC(2026, 10, 30, 12)
  return {
    job: {
      id: 4,
      name: 'unit',
      stage: 'test',
      projectPath: 'acme/app',
      ref: 'main',
      protected: true,
      tags: [],
      queuedAt: now - 470,
      ...more.job,
    },
    runner: { id: 1, description: 'one', type: 'instance', tags: [], ...more.runner },
    running: more.running ?? { all: 2, project: 1 },
    now,
  }
}

/** What a runner on Linux says of itself. */
export function executorFacts(executor: string, more: Partial<ExecutorFacts> = {}): ExecutorFacts {
  const features = ['variables', 'artifacts', 'cache', 'upload_multiple_artifacts', 'trace_checksum', 'cancelable']
  return { executor, platform: 'linux', architecture: 'amd64', features, ...more }
}

/** A job without image and services, whose scripts find its folders where they are. */
export function prepareInput(session: string, folders: { build: string; temp: string }): PrepareInput {
  const variables = { CI: 'true', CI_JOB_NAME: 'unit', CI_PROJECT_PATH: 'acme/app' }
  return {
    session,
    job: {
      id: 4,
      name: 'unit',
      projectId: 1,
      projectPath: 'acme/app',
      services: [],
      variables,
      publicVariables: variables,
      credentials: [],
    },
    runner: { shortToken: 'TestRunne', slot: 0 },
    folders,
    inside: { builds: '/', ...folders },
  }
}
