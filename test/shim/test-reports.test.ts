import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { onBothEngines } from '../support/stores.js'
import { type ShimBox, startShimBox } from './support/box.js'
import { type RunningJob, startJob, takeJob } from './support/running-job.js'

const suite = (name: string) =>
  gzipSync(`<testsuite><testcase classname="Sum" name="${name}" time="0.5"/>
    <testcase name="bad" time="1"><failure>no &amp; never</failure></testcase></testsuite>`)
const reports = {
  junit: 'a.xml',
  codequality: 'q.json',
  coverage_report: { coverage_format: 'cobertura', path: 'c.xml' },
}
const config = {
  unit: { parallel: 2, script: 'x', artifacts: { reports } },
  broken: { script: 'x', artifacts: { reports: { junit: 'b.xml' } } },
  plain: { script: 'x' },
}

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  it('gives the tests of a pipeline, a suite for each job, and what its reports come to', async () => {
    const unit1 = await startJob(box, { config })
    const pipelineId = (await box.job(unit1.id)).pipeline_id
    const jobs = [unit1]
    for (let i = 0; i < 3; i++) jobs.push(await takeJob(box, unit1.projectId, unit1.runnerToken))
    const [, unit2, broken, plain] = jobs as [RunningJob, RunningJob, RunningJob, RunningJob]
    const upload = async (job: RunningJob, bytes: Uint8Array | string, type: string, format = 'gzip') =>
      expect((await job.upload(bytes, { query: `?artifact_type=${type}&artifact_format=${format}` })).status).toBe(201)
    await upload(unit1, suite('one'), 'junit')
    await upload(unit1, JSON.stringify([{ severity: 'minor', fingerprint: 'a' }]), 'codequality', 'raw')
    await upload(unit1, gzipSync('<coverage lines-valid="4" lines-covered="3"/>'), 'cobertura')
    await upload(unit2, suite('two'), 'junit')
    await upload(broken, 'this is no gzip', 'junit')
    const url = `/projects/${unit1.projectId}/pipelines/${pipelineId}`
    const empty = await box.admin('GET', `${url}/test_report`)
    expect([empty.status, empty.body]).toEqual([
      200,
      {
        test_suites: [],
        total_time: 0,
        total_count: 0,
        success_count: 0,
        failed_count: 0,
        skipped_count: 0,
        error_count: 0,
      },
    ])
    for (const job of jobs) await job.put({ state: 'success' })
    const summary = async () => (await box.admin('GET', `${url}/test_report_summary`)).body
    await eventually(async () => expect((await summary()).test_suites).toHaveLength(2))
    await eventually(async () => expect((await summary()).total.count).toBe(4))
    const counts = {
      total_time: 3,
      total_count: 4,
      success_count: 2,
      failed_count: 2,
      skipped_count: 0,
      error_count: 0,
    }
    const nothing = { ...counts, total_time: 0, total_count: 0, success_count: 0, failed_count: 0 }
    expect(await summary()).toEqual({
      total: { time: 3, count: 4, success: 2, failed: 2, skipped: 0, error: 0, suite_error: null },
      test_suites: [
        { name: 'unit', ...counts, build_ids: [unit1.id, unit2.id], suite_error: null },
        { name: 'broken', ...nothing, build_ids: [broken.id], suite_error: 'the report is not gzip' },
      ],
    })
    const report = await box.admin('GET', `${url}/test_report`)
    expect(report.headers.get('content-type')).toBe('application/json')
    expect(report.body).toMatchObject({ ...counts, test_suites: [{ name: 'unit', ...counts }, { name: 'broken' }] })
    const cases = report.body.test_suites[0].test_cases
    expect(cases.map((one: { name: string }) => one.name)).toEqual(['one', 'bad', 'two', 'bad'])
    expect(cases[1]).toEqual({
      status: 'failed',
      name: 'bad',
      classname: '',
      file: null,
      execution_time: 1,
      system_output: 'no & never',
      stack_trace: null,
    })
    const kept = await box.admin('GET', `/api/signalbox/v1/pipelines/${pipelineId}/reports`)
    expect(kept.body.filter((one: { type: string }) => one.type !== 'junit')).toEqual([
      { job_id: unit1.id, job_name: 'unit 1/2', type: 'cobertura', problem: null, lines: 4, covered: 3 },
      expect.objectContaining({ job_id: unit1.id, type: 'codequality', problem: null, count: 1, minor: 1 }),
    ])
    expect((await box.admin('POST', `/projects/${unit1.projectId}/jobs/${unit1.id}/erase`)).status).toBe(201)
    expect((await summary()).total.count).toBe(2)
    expect(plain.id).toBeGreaterThan(0)
  })

  it('answers 404 for a pipeline of another project, or for who may not read it', async () => {
    const job = await startJob(box)
    const other = await startJob(box)
    const pipelineId = (await box.job(job.id)).pipeline_id
    for (const what of ['test_report', 'test_report_summary']) {
      const get = (id: number) => box.admin('GET', `/projects/${id}/pipelines/${pipelineId}/${what}`)
      expect([(await get(job.projectId)).status, (await get(other.projectId)).status]).toEqual([200, 404])
      expect((await box.send('GET', `/projects/${job.projectId}/pipelines/${pipelineId}/${what}`)).status).toBe(404)
    }
  })
})
