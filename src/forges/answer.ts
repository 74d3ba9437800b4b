/** Looks into what a forge has answered: what is missing or of another kind is trouble of the forge's. */
import { ForgeError } from '../core/forge.js'
import type { Json, JsonMap } from '../http/json.js'
import type { KnownHook } from './driver.js'

export function mapOf(value: Json | undefined, what: string): JsonMap {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw odd(what)
}

export function listOf(value: Json | undefined, what: string): JsonMap[] {
  if (!Array.isArray(value)) throw odd(what)
  return value.map((one) => mapOf(one, what))
}

export function textOf(map: JsonMap, name: string): string {
  const value = map[name]
  if (typeof value === 'string' && value !== '') return value
  throw odd(name)
}

/** An id, whether it is a number or a text. */
export function idOf(map: JsonMap, name = 'id'): string {
  const value = map[name]
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  if (typeof value === 'string' && value !== '') return value
  throw odd(name)
}

/** A webhook as GitHub and Gitea tell of it; it fits if it is on and sends these events as JSON. */
export function hookOf(hook: JsonMap, events: readonly string[]): KnownHook {
  const config = mapOf(hook.config, 'config')
  const told = Array.isArray(hook.events) ? hook.events : []
  return {
    id: idOf(hook),
    url: typeof config.url === 'string' ? config.url : '',
    fits: hook.active === true && config.content_type === 'json' && events.every((event) => told.includes(event)),
  }
}

const odd = (what: string) => new ForgeError('away', `the forge's answer is not what it should be (${what})`)

/** Whether the forge lets the token do this. What else is wrong with the request came after that question. */
export async function maySee(deed: Promise<unknown>): Promise<boolean> {
  try {
    await deed
    return true
  } catch (error) {
    if (!(error instanceof ForgeError)) throw error
    if (error.trouble === 'refused' || error.trouble === 'missing') return false
    if (error.trouble === 'away' || error.trouble === 'limited') throw error
    return true
  }
}
