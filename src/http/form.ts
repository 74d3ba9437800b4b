/**
 * Query strings and form bodies, as GitLab's clients write them: `a=1`, `scope[]=x`, `info[name]=y`, and lists of maps in
 * the way of Rails, `variables[][key]=A&variables[][value]=b`. Some clients write the fields of such a list one kind after
 * the other (`[][key]`, `[][key]`, `[][value]`, `[][value]`); these are zipped.
 */
import { SignalboxError } from '../core/errors.js'
import { emptyMap, isSafeKey, type Json, type JsonMap } from './json.js'

export type Pair = readonly [name: string, value: string]

const mostPairs = 1000
const deepest = 5
const longestName = 1024

/** The pairs of `application/x-www-form-urlencoded` text. Throws `invalid` for escapes that are not UTF-8, or too many. */
export function readPairs(text: string): Pair[] {
  const parts = text.split('&').filter((part) => part !== '')
  if (parts.length > mostPairs) throw new SignalboxError('invalid', 'there are too many parameters')
  return parts.map((part) => {
    const equals = part.indexOf('=')
    return equals === -1 ? [decode(part), ''] : [decode(part.slice(0, equals)), decode(part.slice(equals + 1))]
  })
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw new SignalboxError('invalid', 'a parameter is not valid percent-encoded UTF-8')
  }
}

/** Pairs as a map of maps and lists. A plain name given twice becomes a list, which no scalar parameter takes. */
export function foldPairs(pairs: readonly Pair[]): JsonMap {
  const root = emptyMap()
  const rows = new Map<string, Pair[]>()
  for (const [name, value] of pairs) {
    if (value.includes('\0')) throw new SignalboxError('invalid', 'a parameter has a NUL character')
    const path = pathOf(name)
    const at = path.indexOf('')
    if (at > 0 && at === path.length - 2 && path.at(-1) !== '') {
      const list = JSON.stringify(path.slice(0, at))
      rows.set(list, [...(rows.get(list) ?? []), [path.at(-1)!, value]])
    } else {
      put(root, path, value)
    }
  }
  for (const [list, fields] of rows) put(root, JSON.parse(list), foldRows(fields))
  return root
}

/** `a[b][]` → `a`, `b`, and an empty step for the list. */
function pathOf(name: string): string[] {
  const match = /^([^[\]]+)((?:\[[^[\]]*\])*)$/.exec(name)
  if (!match || name.length > longestName) throw new SignalboxError('invalid', 'the name of a parameter is not valid')
  const inner = match[2] === '' ? [] : match[2]!.slice(1, -1).split('][')
  const path = [match[1]!, ...inner]
  if (path.length > deepest) throw new SignalboxError('invalid', 'a parameter is nested too deep')
  if (!path.every(isSafeKey) || name.includes('\0')) {
    throw new SignalboxError('invalid', 'the name of a parameter is not allowed')
  }
  return path
}

function put(root: JsonMap, path: readonly string[], value: Json): void {
  let map = root
  for (const [i, step] of path.entries()) {
    const next = path[i + 1]
    if (next === undefined) {
      const known = map[step]
      map[step] = known === undefined ? value : Array.isArray(known) ? [...known, value] : [known, value]
      return
    }
    if (next === '') {
      if (i + 2 < path.length) throw new SignalboxError('invalid', 'lists inside lists are not read')
      const known = map[step]
      if (known !== undefined && !Array.isArray(known)) throw mixed()
      map[step] = [...(known ?? []), value]
      return
    }
    const known = map[step] ?? emptyMap()
    if (typeof known !== 'object' || Array.isArray(known)) throw mixed()
    map[step] = known
    map = known as JsonMap
  }
}

function mixed(): SignalboxError {
  return new SignalboxError('invalid', 'a parameter is given both as a value and as a list or map')
}

/** Fields of a list of maps: a field that the last map has already begins the next one, unless all are grouped by name. */
function foldRows(fields: readonly Pair[]): JsonMap[] {
  const rows: JsonMap[] = []
  const grouped = isGrouped(fields)
  for (const [name, value] of fields) {
    let row = grouped ? rows.find((one) => !(name in one)) : rows.at(-1)
    if (!row || name in row) {
      row = emptyMap()
      rows.push(row)
    }
    row[name] = value
  }
  return rows
}

/** Whether each name comes in one run, and some run is longer than one. */
function isGrouped(fields: readonly Pair[]): boolean {
  const seen = new Set<string>()
  let before: string | undefined
  let repeats = false
  for (const [name] of fields) {
    if (name === before) repeats = true
    else if (seen.has(name)) return false
    seen.add(name)
    before = name
  }
  return repeats
}
