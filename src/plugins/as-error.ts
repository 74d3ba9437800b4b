/** What others have thrown. */
import { oneLine } from './plain.js'

/**
 * Whatever was thrown, as an error of ours: its message in one line, its stack as text. Nothing of the plugin's stays in
 * it, and a getter of the plugin's that throws in turn is no way out.
 */
export function asError(thrown: unknown): Error {
  const isError = tried(() => thrown instanceof Error) === true
  const message = tried(() =>
    isError ? (thrown as Error).message || (thrown as Error).name : `threw ${String(thrown)}`,
  )
  const error = new Error(oneLine(typeof message === 'string' ? message : 'threw something that cannot be shown', 500))
  const stack = isError ? tried(() => (thrown as Error).stack) : undefined
  if (typeof stack === 'string') error.stack = stack.slice(0, stackLength)
  return error
}

const stackLength = 8192

function tried<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch {
    return undefined
  }
}
