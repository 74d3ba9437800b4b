/** The tests of a pipeline: its jobs' JUnit reports, a suite for each job. Rule: gitlab app/models/ci/build.rb, `test_suite_name`. */
import type { Core } from '../core.js'
import { addCounts, countTests, type TestCase, type TestCounts } from '../reports/tests.js'
import { findArtifact } from '../store/artifacts.js'
import { listReports } from '../store/reports.js'

/** The cases of the jobs of one name. Rule: https://docs.gitlab.com/api/pipelines/#get-a-test-report-for-a-pipeline */
export interface TestSuite {
  /** The job's name; jobs that are parts of one (`test 1/3`) share a suite. */
  name: string
  jobIds: number[]
  counts: TestCounts
  /** Why a report could not be read. */
  problem: string | null
}

/** The suites and their counts, as they were kept when their jobs ended. */
export async function showTestSummary(core: Core, pipelineId: number): Promise<TestSuite[]> {
  const suites = new Map<string, TestSuite>()
  for (const { jobId, jobName, summary } of await listReports(core.store.read, pipelineId)) {
    if (summary.kind !== 'junit') continue
    const { kind: _, problem, ...counts } = summary
    const name = jobName.replace(/[\s:]+\d+[\s:/\\]+\d+\s*$/, '')
    const known = suites.get(name)
    if (!known) suites.set(name, { name, jobIds: [jobId], counts, problem })
    else {
      known.jobIds.push(jobId)
      known.counts = addCounts(known.counts, counts)
      known.problem ??= problem
    }
  }
  return [...suites.values()]
}

/** The suites with their cases, read from the reports one after the other. One that has expired has no cases any more. */
export async function* showTests(core: Core, pipelineId: number): AsyncGenerator<TestSuite & { cases: TestCase[] }> {
  for (const suite of await showTestSummary(core, pipelineId)) {
    const cases: TestCase[] = []
    for (const jobId of suite.jobIds) {
      const artifact = await findArtifact(core.store.read, jobId, 'junit')
      const expired = artifact?.expiresAt != null && artifact.expiresAt <= core.clock.now()
      if (!artifact || expired || !(await core.artifacts.exists(artifact.location))) continue
      const read = await core.reports.tests(artifact)
      if (read.ok) cases.push(...read.value)
    }
    yield { ...suite, counts: countTests(cases), cases }
  }
}
