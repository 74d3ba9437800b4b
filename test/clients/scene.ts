import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { expect } from 'vitest'
import { type ShimBox, startShimBox } from '../shim/support/box.js'
import { RunningJob } from '../shim/support/running-job.js'
import { zipOf } from '../shim/support/zip.js'
import { adminToken } from '../support/core.js'
import { eventually } from '../support/eventually.js'

const config = {
  stages: ['build', 'deploy'],
  build: { stage: 'build', script: 'make', artifacts: { paths: ['out'], reports: { junit: 'junit.xml' } } },
  deploy: { stage: 'deploy', script: 'x', when: 'manual' },
}

/** A server with a project whose path needs encoding, and a runner that does what the test says. */
export class Scene implements AsyncDisposable {
  readonly token = adminToken
  readonly path = 'team/tools/app'
  readonly #box: ShimBox
  readonly projectId: number
  readonly #runnerToken: string

  constructor(box: ShimBox, projectId: number, runnerToken: string) {
    this.#box = box
    this.projectId = projectId
    this.#runnerToken = runnerToken
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#box.server.address() as AddressInfo).port}`
  }

  /** Runs the job that waits: its log, an archive with `out/a.txt`, a test report, and this end. */
  async work(state: 'success' | 'failed' = 'success'): Promise<void> {
    const { body } = await this.#box.poll(this.#runnerToken)
    const job = new RunningJob(this.#box, {
      id: body.id,
      token: body.token,
      projectId: this.projectId,
      runnerToken: this.#runnerToken,
    })
    await job.patch('0-9', 'log of job')
    await job.upload(await zipOf({ 'out/a.txt': 'made by a jöb' }))
    const tests = gzipSync('<testsuite><testcase name="adds"/></testsuite>')
    await job.upload(tests, { query: '?artifact_type=junit&artifact_format=gzip' })
    await job.put({ state })
    await eventually(async () => expect((await this.#box.job(job.id)).finish_work).toBe(0))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#box[Symbol.asyncDispose]()
  }
}

export async function startScene(): Promise<Scene> {
  const box = await startShimBox('sqlite')
  const project = await box.core.project(config, 'team/tools/app')
  return new Scene(box, project.id, await box.runnerToken())
}
