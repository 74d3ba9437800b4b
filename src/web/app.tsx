/** The frame of the page: where one can go, who one is, and how fresh what one sees is. */

import { useEffect, useRef } from 'preact/hooks'
import { useLocation } from 'preact-iso'
import { apart } from './apart.js'
import { connection } from './live.js'
import { later } from './parts/later.js'
import { Palette } from './parts/palette.js'
import { placeOf } from './places.js'
import { person, SignIn, signOut, Unreached, useRefusals } from './session.js'
import { duration, now } from './time.js'
import { Fleet } from './views/fleet.js'
import { Job } from './views/job.js'
import { Look } from './views/look.js'
import { Nothing } from './views/nothing.js'
import { Pipeline } from './views/pipeline.js'
import { Project } from './views/project.js'
import { Projects } from './views/projects.js'
import { Queue } from './views/queue.js'
import { System } from './views/system.js'

const ProjectPart = later(async () => (await import('./views/project/parts.js')).default)

const links = [
  ['/', 'Projects'],
  ['/-/queue', 'Queue'],
  ['/-/fleet', 'Fleet'],
  ['/-/system', 'System'],
] as const

/** The whole page. */
export function App() {
  useRefusals()
  const { path } = useLocation()
  const first = useRef(true)
  // Who goes on to another view is at its beginning; who comes to the page begins with its head.
  useEffect(() => {
    if (!first.current) document.getElementById('main')?.focus({ preventScroll: true })
    first.current = false
  }, [path])
  return (
    <>
      <a class="skip" href="#main" target="_self">
        Skip to the content
      </a>
      <header class="frame">
        <a class="brand" href="/" aria-label="Signalbox: all projects">
          <svg viewBox="0 0 20 20" width="22" height="22" aria-hidden="true">
            <path d="M6 18.500V2.5" />
            <path class="arm" d="M6 4.500l10.5-2v4.500l-10.5 1.500z" />
            <path d="M3 18.500h6" />
          </svg>
          signalbox
        </a>
        <nav aria-label="Main">
          {links.map(([href, label]) => (
            <a key={href} href={href} aria-current={path === href ? 'page' : undefined}>
              {label}
            </a>
          ))}
        </nav>
        <Freshness />
        <Who />
      </header>
      <main id="main" tabIndex={-1}>
        <div class="view">{person.value === undefined ? <Unreached /> : <View />}</div>
      </main>
      <Palette />
    </>
  )
}

function View() {
  const { path, url } = useLocation()
  const place = placeOf(path)
  if (place.view === 'look') return <Look />
  if (!person.value) return <SignIn />
  // Another person sees another page.
  const key = `${person.value.id} ${path}`
  switch (place.view) {
    case 'projects':
      return <Projects key={key} />
    case 'group':
      return <Projects key={key} group={place.path} />
    case 'project':
      return <Project key={key} path={place.path} fixed={place.filter} />
    case 'pipeline':
      return <Pipeline key={key} path={place.path} id={place.id} url={url} />
    case 'job':
      return <Job key={key} path={place.path} id={place.id} />
    case 'part':
      return <ProjectPart key={key} path={place.path} part={place.part} />
    case 'fleet':
      return <Fleet key={key} />
    case 'queue':
      return <Queue key={key} />
    case 'system':
      return <System key={key} />
    case 'nothing':
      return <Nothing />
  }
}

/** Says so when what is shown may be old. Who has not signed in is shown nothing that could be. */
function Freshness() {
  if (!person.value) return null
  const { state, at } = connection.value
  const old = state === 'broken'
  return (
    <output class={`freshness ${state}`}>
      {old ? `reconnecting, last update ${duration(Math.max(0, now.value - at))} ago` : state === 'live' ? 'live' : ''}
    </output>
  )
}

function Who() {
  const user = person.value
  if (!user) return null
  return (
    <span class="who">
      <span title={user.name}>{user.username}</span>
      <button type="button" class="quiet" onClick={() => apart(signOut())}>
        Sign out
      </button>
    </span>
  )
}
