/** Views that are loaded when somebody wants to see them, so that the first one is there soon. */
import type { ComponentType } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { Loading } from './bits.js'

/** A component in place of one that `load` brings. What cannot be loaded can be asked for again. */
export function later<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  let loaded: ComponentType<Props> | undefined
  return (props: Props) => {
    const [, show] = useState(0)
    const [failed, setFailed] = useState(false)
    useEffect(() => {
      if (loaded || failed) return
      load().then(
        (component) => {
          loaded = component
          show(1)
        },
        () => setFailed(true),
      )
    }, [failed])
    if (loaded) {
      const View = loaded
      return <View {...props} />
    }
    if (!failed) return <Loading />
    return (
      <div class="empty" role="alert">
        <h2>This part of the page could not be loaded</h2>
        <p>The server is away, or has been upgraded since this page was opened.</p>
        <button type="button" onClick={() => location.reload()}>
          Load the page again
        </button>
      </div>
    )
  }
}
