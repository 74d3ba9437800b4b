/** Why a job failed, and why it waits: in sentences, with what they rest on. */
import { own } from '../api.js'
import { useData } from '../data.js'
import { Command, When } from '../parts/bits.js'
import { hrefs } from '../places.js'
import type { Failure, Why } from '../types.js'

/** The card of a failure. */
export function WhyFailed({ failure, jobId }: { failure: Failure; jobId: number }) {
  const index = useData<{ failure_lines: number[] }>(
    failure.lines.length > 0 ? `${own}/jobs/${jobId}/log/index` : undefined,
  )
  const places = index.data?.failure_lines ?? []
  const sure = failure.confidence === null ? '' : `, ${Math.round(failure.confidence * 100)} % sure`
  return (
    <section class="why bad" aria-label="Why it failed">
      <h2>Why it failed</h2>
      <p>
        <strong>{failure.explanation}</strong>
      </p>
      {failure.lines.length > 0 && (
        <ol class="evidence code">
          {failure.lines.map((line, i) => (
            <li key={i}>
              {places.length === failure.lines.length ? (
                <a href={`#L${places[i]! + 1}`} target="_self">
                  {line}
                </a>
              ) : (
                line
              )}
            </li>
          ))}
        </ol>
      )}
      <dl class="facts">
        <div>
          <dt>Reason</dt>
          <dd class="code">{failure.reason}</dd>
        </div>
        <div>
          <dt>Class</dt>
          <dd>{failure.class}</dd>
        </div>
        <div>
          <dt>Decided by</dt>
          <dd>{failure.decided_by === null ? 'the coordinator' : `${failure.decided_by}${sure}`}</dd>
        </div>
        <div>
          <dt>Trying again</dt>
          <dd>
            {failure.retryable === null
              ? 'nobody can tell'
              : failure.retryable
                ? 'is likely to help'
                : 'will not help by itself'}
          </dd>
        </div>
      </dl>
    </section>
  )
}

/** The card of a job that waits. What no runner can ever take looks like that, and not like a queue. */
export function WhyWaiting({ id, path }: { id: number; path: string }) {
  const { data } = useData<Why>(`${own}/jobs/${id}/why`, () => true)
  if (!data) return null
  const never = data.waits_for === 'runner' && !data.runners?.some((runner) => runner.fits)
  const tags = data.needs?.tags ?? []
  return (
    <section class={`why ${never ? 'bad' : 'wait'}`} aria-label="Why it is waiting">
      <h2>{never ? 'No runner can take it' : 'Why it is waiting'}</h2>
      <p>
        <strong>{data.summary}</strong>
      </p>
      <dl class="facts">
        <div>
          <dt>Since</dt>
          <dd>
            <When time={data.since} />
          </dd>
        </div>
        {data.place !== undefined && (
          <div>
            <dt>Place</dt>
            <dd>{data.place}</dd>
          </div>
        )}
        {data.expected_start && (
          <div>
            <dt>Expected</dt>
            <dd>
              <When time={data.expected_start} />
            </dd>
          </div>
        )}
        {data.needs && (
          <div>
            <dt>It asks for</dt>
            <dd>
              {tags.length > 0
                ? tags.map((tag) => (
                    <span key={tag} class="tag">
                      {tag}
                    </span>
                  ))
                : 'a runner that takes jobs without tags'}
            </dd>
          </div>
        )}
      </dl>
      {data.blocked_by && data.blocked_by.length > 0 && (
        <ul>
          {data.blocked_by.map((job) => (
            <li key={job.id}>
              <a href={hrefs.job(path, job.id)}>{job.name}</a> is {job.status}
            </li>
          ))}
        </ul>
      )}
      {data.runners && data.runners.length > 0 && (
        <ul class="runners">
          {data.runners.slice(0, 8).map((runner) => (
            <li key={runner.id}>
              <span aria-hidden="true">{runner.fits ? '✓' : '✕'}</span> {runner.description || `runner ${runner.id}`}:{' '}
              {runner.fits ? 'could take it' : runner.lacks[0]}
            </li>
          ))}
        </ul>
      )}
      {never && (
        <>
          <p>A runner that could is made and started by:</p>
          <Command>{`signalbox runner create${tags.length > 0 ? ` --tags ${quoted(tags.join(','))}` : ''}`}</Command>
          <p>
            or in <a href={`/-/fleet?add=1&tags=${encodeURIComponent(tags.join(','))}`}>the fleet</a>.
          </p>
        </>
      )}
    </section>
  )
}

const quoted = (text: string) => (/^[\w.,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)
