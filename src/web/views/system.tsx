/** For administrators: background tasks, plugins with their health, usage, the audit log and the settings in force. */
import { useLocation } from 'preact-iso'
import { useTitle } from '../parts/favicon.js'
import { later } from '../parts/later.js'
import { Plugins } from './plugins.js'
import { Tasks } from './tasks.js'

const tabs = ['scheduled', 'running', 'done', 'failed', 'plugins', 'usage', 'audit', 'settings'] as const

const Overseen = later(async () => (await import('./overseen.js')).default)

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
            {one[0]!.toUpperCase() + one.slice(1)}
          </a>
        ))}
      </nav>
      {tab === 'plugins' ? (
        <Plugins />
      ) : tab === 'usage' || tab === 'audit' || tab === 'settings' ? (
        <Overseen key={tab} tab={tab} />
      ) : (
        <Tasks tab={tab} />
      )}
    </>
  )
}
