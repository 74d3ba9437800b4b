/**
 * What a plugin's process may do beyond computing, by Node's permission model: read its own folder and the packages that
 * it is made of, and write in a folder of its own, unless the manifest asks for more (`signalbox.permissions`). It keeps
 * honest code from what it has not asked for; against hostile code it is no wall, and Node says so too.
 * https://nodejs.org/api/permissions.html
 */
import { existsSync, realpathSync } from 'node:fs'
import module from 'node:module'
import path from 'node:path'
import { nameOf, oneLine } from './plain.js'

/** What a manifest may ask for. `net` is restricted from Node 25 on only. */
export const permissionNames = ['fs-read', 'fs-write', 'net', 'child-process', 'worker', 'addons'] as const
export type Permission = (typeof permissionNames)[number]

/** Checks the list of the manifest. Throws an `Error` that names what is wrong. */
export function permissionsOf(given: unknown): Permission[] {
  if (given === undefined) return []
  if (!Array.isArray(given)) throw new Error(`signalbox.permissions must be a list, not ${nameOf(given)}`)
  return given.map((word: unknown) => {
    const known = permissionNames.find((one) => one === word)
    if (known) return known
    const shown = typeof word === 'string' ? JSON.stringify(oneLine(word, 50)) : nameOf(word)
    throw new Error(`signalbox.permissions may name ${permissionNames.join(', ')}, not ${shown}`)
  })
}

export interface ProcessRights {
  /** The real path of the plugin's module. */
  entry: string
  /** The real path of the plugin's own folder. */
  home: string
  /** Where it may write. */
  workFolder: string
  /** The script that plays the host in its process. */
  script: string
  limitBytes: number
  permissions: readonly Permission[]
}

/** The flags of Node for the plugin's process, and whether it must be helped to find `signalbox/plugin`. */
export function rightsOf({ entry, home, workFolder, script, limitBytes, permissions }: ProcessRights): {
  flags: string[]
  provideSdk: boolean
} {
  const sdk = sdkBeside(entry)
  const provideSdk = sdk === undefined
  const known = process.allowedNodeEnvironmentFlags
  const may = (name: Permission) => permissions.includes(name)
  const needed = [home, ...packageFolders(home), path.dirname(script), workFolder, ...(sdk ? [sdk] : [])]
  const readable = may('fs-read') ? ['*'] : outermost(needed).map((folder) => `${folder}/*`)
  const flags = [
    ...['--disable-warning=ExperimentalWarning', '--disable-warning=SecurityWarning'],
    `--max-old-space-size=${Math.max(16, Math.floor((limitBytes / 1024 / 1024) * 0.75))}`,
    known.has('--permission') ? '--permission' : '--experimental-permission',
    ...readable.map((place) => `--allow-fs-read=${place}`),
    `--allow-fs-write=${may('fs-write') ? '*' : `${workFolder}/*`}`,
    ...(may('child-process') ? ['--allow-child-process'] : []),
    ...(may('addons') ? ['--allow-addons'] : []),
    // Older versions of Node help it by a thread of their own.
    ...(may('worker') || (provideSdk && !('registerHooks' in module)) ? ['--allow-worker'] : []),
    ...(may('net') && known.has('--allow-net') ? ['--allow-net'] : []),
  ]
  return { flags, provideSdk }
}

/** Every folder of packages that a module in the folder is looked for in. */
function packageFolders(folder: string): string[] {
  const found: string[] = []
  for (let at = folder; at !== path.dirname(at); at = path.dirname(at)) {
    const place = path.basename(at) === 'node_modules' ? at : path.join(at, 'node_modules')
    if (existsSync(place)) found.push(place)
  }
  return found
}

/** Those that lie in no other: Node 20 grants nothing below a folder that is granted twice. */
function outermost(folders: readonly string[]): string[] {
  const all = [...new Set(folders)]
  return all.filter((one) => !all.some((other) => other !== one && one.startsWith(`${other}/`)))
}

/** The folder of `signalbox/plugin` as the plugin finds it; undefined if it does not. */
function sdkBeside(entry: string): string | undefined {
  try {
    return path.dirname(realpathSync(module.createRequire(entry).resolve('signalbox/plugin')))
  } catch {
    return undefined
  }
}
