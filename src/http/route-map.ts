/**
 * Finds the route of an address without trying some three hundred patterns one after the other, as Express does. Only what
 * is plain is found here: each segment of the pattern a word or one name (`:id`). All else is left to Express, which knows
 * the rest: methods that are not allowed, addresses that cannot be decoded, patterns that take several segments.
 */
import type { Route } from './call.js'

/** A route, and what its names stand for in the address, decoded. */
export interface Found {
  route: Route
  names: Readonly<Record<string, string>>
}

interface Plain {
  route: Route
  segments: readonly string[]
}

/** The plain routes of a list. */
export class RouteMap {
  readonly #base: string
  /** By method, number of segments and the first of them; in their order. */
  readonly #plain = new Map<string, Plain[]>()

  /** `base`: what every path begins with. */
  constructor(base: string, routes: readonly Route[]) {
    this.#base = `${base}/`
    const open: Plain[] = []
    for (const route of routes) {
      const one = { route, segments: route.path.slice(1).split('/') }
      // Express takes the first that fits, so one behind a pattern that takes more is its to find.
      if (!isPlain(one) || open.some((before) => mayTake(before, one))) {
        open.push(one)
        continue
      }
      const key = keyOf(route.method, one.segments)
      this.#plain.set(key, [...(this.#plain.get(key) ?? []), one])
    }
  }

  /** The route of `url`, which is the address as it came; undefined: it is not for this map to say. */
  find(method: string, url: string): Found | undefined {
    if (!url.startsWith(this.#base) || url.includes('#')) return undefined
    const query = url.indexOf('?')
    const segments = url.slice(this.#base.length, query < 0 ? undefined : query).split('/')
    const found = this.#plain
      .get(keyOf(method.toLowerCase(), segments))
      ?.find((one) => one.segments.every((part, i) => fits(part, segments[i]!)))
    return found && namesOf(found, segments)
  }
}

const keyOf = (method: string, segments: readonly string[]) => `${method} ${segments.length} ${segments[0]}`

/** A word, or one name. */
const isPart = (part: string) => /^(?:[\w.-]+|:\w+)$/.test(part)

const isName = (part: string) => part.startsWith(':')

const fits = (part: string, segment: string) => segment !== '' && (isName(part) || part === segment)

const isPlain = ({ segments }: Plain) => /^[\w.-]+$/.test(segments[0]!) && segments.every(isPart)

/** Whether an address that fits `plain` may fit `before` too. */
function mayTake(before: Plain, plain: Plain): boolean {
  if (before.route.method !== plain.route.method) return false
  const known = before.segments.findIndex((part) => !isPart(part))
  const parts = known < 0 ? before.segments : before.segments.slice(0, known)
  if (known < 0 ? plain.segments.length !== parts.length : plain.segments.length < parts.length) return false
  return parts.every((part, i) => part === plain.segments[i] || isName(part) || isName(plain.segments[i]!))
}

function namesOf({ route, segments }: Plain, given: readonly string[]): Found | undefined {
  const names: Record<string, string> = Object.create(null)
  for (const [i, part] of segments.entries()) {
    if (!isName(part)) continue
    const segment = given[i]!
    try {
      names[part.slice(1)] = segment.includes('%') ? decodeURIComponent(segment) : segment
    } catch {
      return undefined
    }
  }
  return { route, names }
}
