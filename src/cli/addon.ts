/** The one part of the program that is compiled where it is installed, and what to do where it cannot be loaded. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { packageRoot } from '../package-root.js'
import { Exit, exitCodes } from './exit.js'

const loadFailures = new Set(['ERR_DLOPEN_FAILED', 'ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'])

/**
 * Returns how the program ends if an error, or what has caused it, is that better-sqlite3 cannot be loaded: npm found
 * neither a prebuilt binary nor what it takes to compile one, was told to run no scripts, or worked for another Node.
 * Undefined for any other error.
 */
export function addonFailure(error: unknown): Exit | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code = '', message } = at as NodeJS.ErrnoException
    const isLoad = loadFailures.has(code) || message.startsWith('Could not locate the bindings file')
    if (!isLoad || !/better[-_]sqlite3/.test(message)) continue
    const why = code === '' ? 'it was not compiled' : message.split('\n').slice(0, 3).join(' ')
    return new Exit(
      exitCodes.usage,
      `better-sqlite3, which keeps the data, cannot be loaded by Node ${process.version} on ${process.platform}-${process.arch}: ${why}`,
      [
        `compile it: cd ${packageRoot()} && ${headers()}npm rebuild better-sqlite3`,
        'npm takes a prebuilt binary if it can download one; else it needs a C++ compiler, make, Python 3 and Node’s headers.',
        'Where the headers cannot be downloaded, npm_config_nodedir names a folder that has them as include/node.',
      ].join('\n  '),
    )
  }
  return undefined
}

/** The headers that came with this Node, if they did. */
function headers(): string {
  const prefix = path.dirname(path.dirname(process.execPath))
  return existsSync(path.join(prefix, 'include', 'node', 'node.h')) ? `npm_config_nodedir=${prefix} ` : ''
}
