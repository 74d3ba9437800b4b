/** Levels of members, as the command line names them. */
import { levels } from '../core/member.js'
import { Exit, exitCodes } from './exit.js'

/** The number of a level such as `developer`. Ends the command (2) for a name that is none. */
export function levelOf(name: string): number {
  if (Object.hasOwn(levels, name)) return levels[name as keyof typeof levels]
  throw new Exit(exitCodes.usage, `--level must be one of ${Object.keys(levels).join(', ')}`)
}

/** The name of a level. */
export function levelName(level: number): string {
  return Object.entries(levels).find(([, number]) => number === level)?.[0] ?? String(level)
}
