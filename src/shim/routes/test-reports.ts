/** The tests of a pipeline: https://docs.gitlab.com/api/pipelines/#get-a-test-report-for-a-pipeline */
import { Readable } from 'node:stream'
import { pipeline as pump } from 'node:stream/promises'
import { showTestSummary, showTests, type TestSuite } from '../../core/operations/show-tests.js'
import { addCounts, noTests, type TestCase, type TestCounts } from '../../core/reports/tests.js'
import type { Route } from '../../http/call.js'
import { type ProjectCall, projectRoute } from '../call.js'
import { pipelineOf } from './pipelines.js'

const read = { deed: 'read' } as const

export const testReportRoutes: readonly Route[] = [
  projectRoute('get', '/projects/:id/pipelines/:pipeline_id/test_report', read, sendReport),
  projectRoute('get', '/projects/:id/pipelines/:pipeline_id/test_report_summary', read, async (call) => {
    const suites = await showTestSummary(call.core, (await pipelineOf(call)).id)
    return { status: 200, body: toSummary(suites) }
  }),
]

/** Written as it is read: a report may have a hundred thousand cases. */
async function sendReport(call: ProjectCall): Promise<undefined> {
  const { core, req, res, requestId } = call
  const { id } = await pipelineOf(call)
  res.writeHead(200, {
    'Cache-Control': 'no-store',
    'Content-Type': 'application/json',
    'X-Content-Type-Options': 'nosniff',
    'X-Request-Id': requestId,
  })
  if (req.method === 'HEAD') {
    res.end()
    return
  }
  await pump(Readable.from(reportText(showTests(core, id)), { objectMode: false }), res).catch((error) => {
    if (!res.destroyed) core.log.error({ err: error, request_id: requestId }, 'a test report broke off')
    res.destroy()
  })
}

const atOnce = 200

async function* reportText(suites: AsyncIterable<TestSuite & { cases: TestCase[] }>): AsyncGenerator<string> {
  let total = noTests()
  let before = '{"test_suites":['
  for await (const { name, counts, problem, cases } of suites) {
    total = addCounts(total, counts)
    const head = JSON.stringify({ name, ...toCounts(counts), suite_error: problem })
    yield `${before}${head.slice(0, -1)},"test_cases":[`
    for (let at = 0; at < cases.length; at += atOnce) {
      const part = cases.slice(at, at + atOnce).map((one) => JSON.stringify(toCase(one)))
      yield `${at === 0 ? '' : ','}${part.join()}`
    }
    before = ']},'
  }
  const tail = JSON.stringify(toCounts(total)).slice(1)
  yield before === ']},' ? `]}],${tail}` : `${before}],${tail}`
}

function toCounts({ time, count, success, failed, error, skipped }: TestCounts): object {
  return {
    total_time: time,
    total_count: count,
    success_count: success,
    failed_count: failed,
    skipped_count: skipped,
    error_count: error,
  }
}

function toCase({ status, name, classname, file, time, output }: TestCase): object {
  return { status, name, classname, file, execution_time: time, system_output: output, stack_trace: null }
}

function toSummary(suites: readonly TestSuite[]): object {
  const { time, count, success, failed, error, skipped } = suites.reduce(
    (sum, one) => addCounts(sum, one.counts),
    noTests(),
  )
  return {
    total: { time, count, success, failed, skipped, error, suite_error: null },
    test_suites: suites.map((one) => ({
      name: one.name,
      ...toCounts(one.counts),
      build_ids: one.jobIds,
      suite_error: one.problem,
    })),
  }
}
