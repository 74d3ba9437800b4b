/** For addresses that name nothing. */
import { Empty } from '../parts/bits.js'
import { useTitle } from '../parts/favicon.js'

/** Says that the address leads nowhere. */
export function Nothing() {
  useTitle('Nothing here')
  return (
    <Empty title="There is nothing at this address">
      <p>
        Perhaps it was deleted, or typed wrong. <a href="/">All projects</a> are a good place to go on.
      </p>
    </Empty>
  )
}
