/** For administrators: background tasks, and plugins with their health. */
import { useLocation } from 'preact-iso'
import { useTitle } from '../parts/favicon.js'
import { Plugins } from './plugins.js'
import { Tasks } from './tasks.js'

const tabs = ['scheduled', 'running', 'done', 'failed', 'plugins'] as const

/** The view. */
export function System() {
  const { query } = useLocation()
  const tab = tabs.find((one) => one === query.tab) ?? 'scheduled'
  useTitle(`System: ${tab}`)
  return (
    <>
      <h1>System</h1>
      <nav class="row tabs" aria-label="System">
        {tabs.map((one) => (
          <a key={one} href={`/-/system?tab=${one}`} aria-current={tab === one ? 'page' : undefined}>
            {one === 'plugins' ? 'Plugins' : `${one[0]!.toUpperCase()}${one.slice(1)}`}
          </a>
        ))}
      </nav>
      {tab === 'plugins' ? <Plugins /> : <Tasks tab={tab} />}
    </>
  )
}
