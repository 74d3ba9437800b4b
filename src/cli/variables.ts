/** Variables given as flags. */
import { Exit, exitCodes } from './exit.js'

/** `K=V` flags as the API takes variables; `flag` is what they are called. */
export function parseVariables(given: readonly string[], flag = '--var'): { key: string; value: string }[] {
  return given.map((text) => {
    const equals = text.indexOf('=')
    const key = text.slice(0, Math.max(0, equals))
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) throw new Exit(exitCodes.usage, `${flag} ${text}: expected NAME=VALUE`)
    return { key, value: text.slice(equals + 1) }
  })
}
