/** The tests of a pipeline that did not simply pass, and what has become of each before: is it new, known, or flaky? */
import type { Core } from '../core.js'
import type { Pipeline } from '../pipeline.js'
import type { TestCase, TestStatus } from '../reports/tests.js'
import { findArtifact } from '../store/artifacts.js'
import { listPipelines } from '../store/pipeline-lists.js'
import { listReports, type StoredReport } from '../store/reports.js'

/** One end of a test. */
export interface TestEnd {
  pipelineId: number
  jobId: number
  status: TestStatus
  /** In seconds. */
  time: number
}

/** `flaky`: it ended both ways at one commit; `known`: it failed the last time as well; `new`: it did not. */
export type Standing = 'new' | 'known' | 'flaky'

export interface TestStanding extends TestCase {
  jobId: number
  jobName: string
  standing: Standing
  /** Earlier ends on the same branch or tag, and of earlier attempts here; the newest first. */
  history: TestEnd[]
}

/** Pipelines that are looked back at, and cases and reports that are told of. */
const most = { pipelines: 10, reports: 60, cases: 300 }

/** Cases of reports that have expired are not known any more. */
export async function showTestStanding(core: Core, pipeline: Pipeline): Promise<TestStanding[]> {
  const { read } = core.store
  const own = await listReports(read, pipeline.id, { retried: true })
  const now = await endsOf(core, pipeline.id, own)
  const failedOnce = new Set([...now].filter(([, ends]) => ends.some(failed)).map(([key]) => key))
  if (failedOnce.size === 0) return []
  const filter = { projectId: pipeline.projectId, ref: pipeline.ref }
  const before = (await listPipelines(read, filter, { limit: most.pipelines + 1, offset: 0 })).filter(
    ({ id }) => id < pipeline.id,
  )
  const past = new Map<string, End[]>()
  const sameCommit = new Set([pipeline.id])
  let reports = 0
  for (const { id, sha } of before) {
    if (sha === pipeline.sha) sameCommit.add(id)
    const listed = await listReports(read, id, { retried: true })
    reports += listed.length
    if (reports > most.reports) break
    for (const [key, ends] of await endsOf(core, id, listed, failedOnce))
      past.set(key, [...(past.get(key) ?? []), ...ends])
  }
  return [...failedOnce].slice(0, most.cases).map((key) => {
    const [last, ...attempts] = now.get(key)!
    const history = [...attempts, ...(past.get(key) ?? [])]
    return {
      ...last!.test,
      jobId: last!.jobId,
      jobName: last!.jobName,
      standing: standingOf(last!, history, sameCommit),
      history: history.map(toEnd),
    }
  })
}

interface End {
  pipelineId: number
  jobId: number
  jobName: string
  test: TestCase
}

const failed = ({ test: { status } }: End) => status === 'failed' || status === 'error'

function standingOf(last: End, history: readonly End[], sameCommit: ReadonlySet<number>): Standing {
  const atOnce = [last, ...history.filter(({ pipelineId }) => sameCommit.has(pipelineId))]
  if (atOnce.some(failed) && atOnce.some(({ test }) => test.status === 'success')) return 'flaky'
  const before = history.find(({ test }) => test.status !== 'skipped')
  return before !== undefined && failed(before) ? 'known' : 'new'
}

/** The ends of each case by what names it, the newest first; `only`: of these. */
async function endsOf(
  core: Core,
  pipelineId: number,
  reports: readonly StoredReport[],
  only?: ReadonlySet<string>,
): Promise<Map<string, End[]>> {
  const found = new Map<string, End[]>()
  for (const { jobId, jobName, summary } of reports.toReversed()) {
    if (summary.kind !== 'junit') continue
    const artifact = await findArtifact(core.store.read, jobId, 'junit')
    const expired = artifact?.expiresAt != null && artifact.expiresAt <= core.clock.now()
    if (!artifact || expired || !(await core.artifacts.exists(artifact.location))) continue
    const read = await core.reports.tests(artifact)
    for (const test of read.ok ? read.value : []) {
      const key = JSON.stringify([jobName, test.classname, test.name])
      if (only && !only.has(key)) continue
      found.set(key, [...(found.get(key) ?? []), { pipelineId, jobId, jobName, test }])
    }
  }
  return found
}

const toEnd = ({ pipelineId, jobId, test: { status, time } }: End): TestEnd => ({ pipelineId, jobId, status, time })
