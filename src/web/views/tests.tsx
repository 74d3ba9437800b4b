/** The tests of a pipeline, from JUnit reports: those first that failed, each with what has become of it before. */
import { useState } from 'preact/hooks'
import { own } from '../api.js'
import { useData } from '../data.js'
import { Empty, Loading, Refused, Table } from '../parts/bits.js'
import { Status } from '../parts/status.js'
import { hrefs } from '../places.js'
import { duration } from '../time.js'

interface Case {
  name: string
  classname: string
  status: string
  execution_time: number
  system_output: string | null
}

interface Report {
  total_count: number
  success_count: number
  failed_count: number
  error_count: number
  skipped_count: number
  total_time: number
  test_suites: { name: string; suite_error: string | null; test_cases: Case[] }[]
}

interface Standing {
  job_id: number
  job_name: string
  status: string
  name: string
  classname: string
  file: string | null
  time: number
  output: string | null
  standing: 'new' | 'known' | 'flaky'
  history: { pipeline_id: number; job_id: number; status: string; time: number }[]
}

const words = {
  new: 'new: it did not fail the last time',
  known: 'known: it failed the last time as well',
  flaky: 'flaky: it both passed and failed at this commit',
}

const seconds = (time: number) => duration(time * 1000)
/** Cases that are listed at once of those that passed. */
const most = 500

/** The tests. */
export default function Tests({ path, projectId, id }: { path: string; projectId: number; id: number }) {
  const ofPipeline = (change: { pipeline_id: number | null; kind: string }) =>
    change.pipeline_id === id && /finished|retried|artifact|report/.test(change.kind)
  const report = useData<Report>(`/api/v4/projects/${projectId}/pipelines/${id}/test_report`, ofPipeline)
  const standing = useData<Standing[]>(`${own}/pipelines/${id}/tests`, ofPipeline)
  const [text, setText] = useState('')
  if (report.error && report.error.status !== 0) return <Refused error={report.error} />
  if (!report.data) return <Loading />
  const { total_count: total, failed_count: failed, error_count: broken, skipped_count: skipped } = report.data
  if (report.data.test_suites.length === 0) {
    return (
      <Empty title="No test reports">
        <p>A job hands over what its tests have told as JUnit XML:</p>
        <pre class="code">{'artifacts:\n  reports:\n    junit: report.xml\n  when: always'}</pre>
      </Empty>
    )
  }
  const cases = report.data.test_suites.flatMap((suite) =>
    suite.test_cases.map((one) => ({ ...one, suite: suite.name })),
  )
  const wanted = text.toLowerCase()
  const listed = cases.filter((one) => `${one.classname} ${one.name}`.toLowerCase().includes(wanted))
  return (
    <section class="stack" aria-label="Tests">
      <p class="facts">
        <strong>{total.toLocaleString()} tests</strong>
        <span class={failed + broken > 0 ? 'bad' : ''}>{failed + broken} failed</span>
        <span>{skipped} skipped</span>
        <span>took {seconds(report.data.total_time)}</span>
      </p>
      {report.data.test_suites.map((suite) =>
        suite.suite_error ? (
          <p key={suite.name} class="refused">
            {suite.name}: {suite.suite_error}
          </p>
        ) : null,
      )}
      {standing.data?.map((one) => (
        <Failed key={`${one.job_id} ${one.classname} ${one.name}`} path={path} test={one} />
      ))}
      <details>
        <summary>All tests</summary>
        <div class="stack">
          <input
            type="search"
            aria-label="Find a test"
            placeholder="Find a test"
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
          <Table caption="All tests" columns={['Status', 'Test', 'Class', 'Job', 'Took']}>
            {listed.slice(0, most).map((one, i) => (
              <tr key={i}>
                <td>
                  <Status status={one.status === 'error' ? 'failed' : one.status} />
                </td>
                <td class="wrap">{one.name}</td>
                <td>{one.classname}</td>
                <td>{one.suite}</td>
                <td class="figure">{seconds(one.execution_time)}</td>
              </tr>
            ))}
          </Table>
          {listed.length > most && <p class="dim">{(listed.length - most).toLocaleString()} more: search for them.</p>}
        </div>
      </details>
    </section>
  )
}

function Failed({ path, test }: { path: string; test: Standing }) {
  const passed = test.status === 'success'
  const slowest = Math.max(0.001, test.time, ...test.history.map((one) => one.time))
  return (
    <article class={`why ${passed ? 'wait' : 'bad'}`} aria-label={test.name}>
      <h2 class="row">
        <Status status={passed ? 'success' : 'failed'} bare /> {test.name}
        <span class="tag" title={words[test.standing]}>
          {test.standing}
        </span>
      </h2>
      <p class="facts">
        <span class="code">{test.classname}</span>
        {test.file && <span class="code">{test.file}</span>}
        <a href={hrefs.job(path, test.job_id)}>{test.job_name}</a>
        <span>took {seconds(test.time)}</span>
        <span>{words[test.standing]}</span>
      </p>
      {test.output && <pre class="code">{test.output}</pre>}
      {test.history.length > 0 && (
        <p class="row small">
          Before:
          {test.history.slice(0, 12).map((one, i) => (
            <a
              key={i}
              href={hrefs.job(path, one.job_id)}
              class="past"
              title={`pipeline #${one.pipeline_id}, ${seconds(one.time)}`}
              aria-label={`${one.status} in pipeline ${one.pipeline_id}, ${seconds(one.time)}`}
            >
              <Status status={one.status === 'error' ? 'failed' : one.status} bare />
              <span class="trend" style={{ height: `${Math.max(2, (16 * one.time) / slowest)}px` }} />
            </a>
          ))}
        </p>
      )}
    </article>
  )
}
