/**
 * From what is configured (`use`) to the file that holds a plugin: a folder with a package.json, a single .js or .mjs
 * file, or the name of an npm package, looked for from the base folder upwards as Node does. Only data is read here, no
 * code of the plugin runs. Rules of `exports`: https://nodejs.org/api/packages.html#package-entry-points
 */
import fs from 'node:fs/promises'
import path from 'node:path'
import satisfies from 'semver/functions/satisfies.js'
import { version } from '../core/version.js'
import { checkApiVersion, pluginKinds } from './definition.js'
import { type Permission, permissionsOf } from './permissions.js'
import { isObject, nameOf, oneLine } from './plain.js'
import type { PluginKind } from './sdk.js'

export interface ResolvedPlugin {
  /** The real path of the module. */
  entry: string
  /** The real path of the plugin's folder. */
  folder: string
  /** The kinds that the manifest names; undefined for a single file. */
  kinds: PluginKind[] | undefined
  /** What it asks to be allowed; nothing for a single file. */
  permissions: Permission[]
}

const manifestBytes = 1024 * 1024
const entryPattern = /\.m?js$/
// https://docs.npmjs.com/cli/v11/configuring-npm/package-json#name
const packagePattern = /^(?:@[a-z0-9-~][a-z0-9-._~]*\/)?[a-z0-9-~][a-z0-9-._~]*$/

/** Finds the plugin. Rejects with an `Error` that says what is missing or wrong. */
export async function resolvePlugin(use: string, baseFolder: string): Promise<ResolvedPlugin> {
  if (use === '' || use.includes('\0')) throw new Error('use must name a folder, a file or a package')
  if (!isLocal(use)) return resolveFolder(await findPackage(use, baseFolder))
  const place = path.resolve(baseFolder, use)
  const found = await fs.stat(place).catch(() => undefined)
  if (!found) throw new Error(`there is nothing at ${use}`)
  if (found.isDirectory()) return resolveFolder(place)
  const folder = path.dirname(place)
  const entry = await entryWithin(folder, path.basename(place))
  return { entry, folder: await fs.realpath(folder), kinds: undefined, permissions: [] }
}

function isLocal(use: string): boolean {
  return path.isAbsolute(use) || /^\.\.?(?:[/\\]|$)/.test(use)
}

async function findPackage(name: string, baseFolder: string): Promise<string> {
  if (!packagePattern.test(name)) throw new Error('is neither a path (./…) nor the name of a package')
  for (let folder = path.resolve(baseFolder); ; folder = path.dirname(folder)) {
    const place = path.join(folder, 'node_modules', name)
    if (await isFile(path.join(place, 'package.json'))) return place
    if (folder === path.dirname(folder)) throw new Error(`no package ${name} is installed`)
  }
}

async function resolveFolder(folder: string): Promise<ResolvedPlugin> {
  const file = path.join(folder, 'package.json')
  if (!(await isFile(file))) throw new Error('the folder has no package.json')
  const manifest = await readManifest(file)
  const table = manifest.signalbox
  if (!isObject(table)) throw new Error('package.json has no table "signalbox", so this is no plugin')
  checkApiVersion(table.apiVersion)
  checkRange(manifest.peerDependencies)
  const kinds = kindsOf(table.kind)
  const permissions = permissionsOf(table.permissions)
  const entry = await entryWithin(folder, entryOf(manifest))
  return { entry, folder: await fs.realpath(folder), kinds, permissions }
}

/** Throws if the plugin was made for other versions of Signalbox. */
function checkRange(peers: unknown): void {
  const range = isObject(peers) ? peers.signalbox : undefined
  if (typeof range !== 'string' || satisfies(version, range)) return
  throw new Error(`it is made for signalbox ${oneLine(range, 50)}, and this is ${version}`)
}

async function readManifest(file: string): Promise<Record<string, unknown>> {
  const { size } = await fs.stat(file)
  if (size > manifestBytes) throw new Error('package.json is larger than 1 MiB')
  let manifest: unknown
  try {
    manifest = JSON.parse(await fs.readFile(file, 'utf8'))
  } catch (error) {
    throw new Error('package.json is not JSON', { cause: error })
  }
  if (!isObject(manifest)) throw new Error('package.json is not an object')
  return manifest
}

function kindsOf(kind: unknown): PluginKind[] {
  const given: unknown[] = Array.isArray(kind) ? kind : [kind]
  if (given.length === 0) throw new Error('signalbox.kind names no kind')
  return given.map((word) => {
    const kind = pluginKinds.find((one) => one === word)
    if (kind) return kind
    const shown = typeof word === 'string' ? JSON.stringify(oneLine(word, 50)) : nameOf(word)
    throw new Error(`signalbox.kind must name ${pluginKinds.join(', ')}, not ${shown}`)
  })
}

/** The package's entry as its manifest names it, relative to the folder. */
function entryOf(manifest: Record<string, unknown>): string {
  const { exports, main } = manifest
  if (exports !== undefined) {
    const root = isObject(exports) && Object.keys(exports).some((key) => key.startsWith('.')) ? exports['.'] : exports
    const target = targetOf(root)
    if (target === undefined) throw new Error('package.json exports nothing for "."')
    return target
  }
  if (main === undefined) return 'index.js'
  if (typeof main !== 'string') throw new Error(`package.json main must be a text, not ${nameOf(main)}`)
  return main
}

function targetOf(target: unknown): string | undefined {
  if (typeof target === 'string') return target
  if (!isObject(target)) return undefined
  for (const [condition, inner] of Object.entries(target)) {
    if (!['node', 'import', 'default'].includes(condition)) continue
    const found = targetOf(inner)
    if (found !== undefined) return found
  }
  return undefined
}

/** The real path of the entry, which must lie in the real folder whatever links lead to it. */
async function entryWithin(folder: string, entry: string): Promise<string> {
  const root = await fs.realpath(folder)
  const file = path.resolve(root, entry)
  if (!isWithin(root, file)) throw new Error(`the entry ${oneLine(entry, 200)} is outside the plugin's folder`)
  if (!entryPattern.test(file)) throw new Error(`the entry ${oneLine(entry, 200)} must be a .js or .mjs file`)
  const real = await fs.realpath(file).catch(() => undefined)
  if (real === undefined || !(await isFile(real))) throw new Error(`the entry ${oneLine(entry, 200)} is not there`)
  if (!isWithin(root, real)) throw new Error(`the entry ${oneLine(entry, 200)} leads outside the plugin's folder`)
  return real
}

function isWithin(folder: string, file: string): boolean {
  const relative = path.relative(folder, file)
  return relative !== '' && relative !== '..' && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative)
}

async function isFile(file: string): Promise<boolean> {
  const found = await fs.stat(file).catch(() => undefined)
  return found?.isFile() ?? false
}
