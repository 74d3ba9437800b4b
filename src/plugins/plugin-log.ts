/** The log of one plugin: lines of the server's log that name it. What is more than 64 KiB in a second is left out. */
import type { Clock } from '../core/clock.js'
import type { Log } from '../core/log.js'
import { asError } from './as-error.js'
import { oneLine, toPlainObject } from './plain.js'
import type { Json, PluginLogger } from './sdk.js'

const windowMs = 1000
const windowCharacters = 64 * 1024
/** What every line has: time, level, names. */
const lineLength = 80
const messageLength = 4096
const fieldLimits = { values: 200, characters: 8192 }

/** A logger for the plugin `id` that writes to `log`. */
export function pluginLogger(id: string, log: Log, clock: Pick<Clock, 'now'>): PluginLogger {
  let since = clock.now()
  let used = 0
  let cut = false
  const write = (level: keyof Log) => (fields: Record<string, Json>, message: string) => {
    if (clock.now() - since >= windowMs) {
      since = clock.now()
      used = 0
      cut = false
    }
    const line = lineOf(fields, message)
    used += line.size
    if (used <= windowCharacters) {
      log[level]({ ...line.fields, plugin: id }, line.message)
    } else if (!cut) {
      cut = true
      log.warn({ plugin: id }, 'the plugin logs too much: lines are left out')
    }
  }
  return Object.freeze({ debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') })
}

function lineOf(fields: unknown, message: unknown): { fields: object; message: string; size: number } {
  try {
    const text = oneLine(String(message), messageLength)
    const plain = toPlainObject(fields, fieldLimits)
    return { fields: plain, message: text, size: lineLength + text.length + JSON.stringify(plain).length }
  } catch (error) {
    return {
      fields: { reason: asError(error).message },
      message: 'a line of the plugin’s log that cannot be shown',
      size: 200,
    }
  }
}
