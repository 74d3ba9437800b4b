/** The visual system on one page: what every view is made of. */
import { Command, Empty } from '../parts/bits.js'
import { useTitle } from '../parts/favicon.js'
import { Status } from '../parts/status.js'

const statuses = [
  'success',
  'failed',
  'running',
  'pending',
  'waiting_for_resource',
  'preparing',
  'manual',
  'scheduled',
  'created',
  'canceled',
  'skipped',
]

/** The view. */
export function Look() {
  useTitle('Look')
  return (
    <>
      <h1>Look</h1>
      <h2>Statuses: shape, colour and word</h2>
      <p class="counts">
        {statuses.map((status) => (
          <Status key={status} status={status} />
        ))}
        <Status status="failed" allowed />
      </p>
      <h2>Buttons</h2>
      <p class="row">
        <button type="button" class="main">
          Main
        </button>
        <button type="button">Plain</button>
        <button type="button" class="danger">
          Danger
        </button>
        <button type="button" class="quiet">
          Quiet
        </button>
        <button type="button" aria-disabled="true">
          Not now
        </button>
      </p>
      <h2>Words</h2>
      <p>
        Text, <a href="/-/look">this page</a>, <span class="dim">what matters less</span>,{' '}
        <span class="code">code</span>, <span class="tag">tag</span>, <strong>strong</strong>
      </p>
      <Command>signalbox help</Command>
      <Empty title="Nothing yet">
        <p>What to do about it.</p>
      </Empty>
    </>
  )
}
