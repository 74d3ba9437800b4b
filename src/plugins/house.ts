/** Finds a configured plugin, and where its code will run. */
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Here } from './here.js'
import { rightsOf } from './permissions.js'
import { isObject } from './plain.js'
import type { Plugin } from './plugin.js'
import { Remote } from './remote.js'
import type { Residence } from './residence.js'
import { resolvePlugin } from './resolve.js'
import type { ConfiguredPlugin, LoadOptions } from './roster.js'
import type { PluginKind } from './sdk.js'

const defaultMemoryMb = 256

/**
 * The plugin's kinds as its manifest names them (undefined for a single file), and its place, in which nothing runs yet.
 * Rejects with an `Error` that says what is missing or wrong.
 */
export async function houseFor(
  plugin: Pick<Plugin, 'down' | 'up' | 'trouble'>,
  entry: ConfiguredPlugin,
  options: Pick<LoadOptions, 'clock' | 'importModule' | 'baseFolder' | 'childScript' | 'workFolder'>,
): Promise<{ kinds: PluginKind[] | undefined; make: () => Residence }> {
  const { clock, importModule, baseFolder = process.cwd() } = options
  const found = await resolvePlugin(entry.use, entry.baseFolder ?? baseFolder)
  const { kinds, permissions } = found
  if (importModule) {
    const bringIn = async () => {
      const module = await importModule(pathToFileURL(found.entry).href)
      return isObject(module) ? module.default : undefined
    }
    return { kinds, make: () => new Here({ clock, bringIn, kinds }) }
  }
  const script = options.childScript ?? fileURLToPath(new URL('./plugin-child.js', import.meta.url))
  const folder = folderOf(entry.use, options)
  const limitBytes = (entry.memoryMb ?? defaultMemoryMb) * 1024 * 1024
  const rights = { entry: found.entry, home: found.folder, workFolder: folder, script, limitBytes, permissions }
  return {
    kinds,
    make: () =>
      new Remote({
        entry: found.entry,
        kinds,
        script,
        ...rightsOf(rights),
        permissions,
        env: environmentOf(entry.env ?? []),
        folder,
        limitBytes,
        clock,
        onDown: (reason) => plugin.down(reason),
        onUp: () => plugin.up(),
        onTrouble: (what, error) => plugin.trouble(what, error),
      }),
  }
}

/** Named by what was configured, so that it is the same after each start. */
function folderOf(use: string, { workFolder }: Pick<LoadOptions, 'workFolder'>): string {
  const name = use.replace(/[^a-zA-Z0-9]+/g, '-').replace(/^-|-$/g, '')
  return path.join(
    workFolder ?? path.join(os.tmpdir(), `signalbox-plugins-${process.pid}`),
    name.slice(-80) || 'plugin',
  )
}

function environmentOf(names: readonly string[]): Record<string, string> {
  const given = names.map((name) => [name, process.env[name]] as const)
  return Object.fromEntries(given.filter((one): one is [string, string] => one[1] !== undefined))
}
