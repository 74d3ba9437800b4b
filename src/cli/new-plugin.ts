/** The folder of a new plugin: manifest, module, tests and README, of which each works as it is. */
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import module from 'node:module'
import path from 'node:path'
import { version } from '../core/version.js'
import { packageRoot } from '../package-root.js'
import { apiVersion, type PluginKind } from '../plugins/sdk.js'

/** Whose rights go beyond the plugin's own folder. */
const permissions: Partial<Record<PluginKind, string[]>> = { executor: ['fs-read', 'fs-write', 'child-process'] }
/** By which `plugin check` sets it up, where an empty configuration is none. */
const examples: Partial<Record<PluginKind, object>> = {
  admission: { refs: ['main'], until: '2030-01-01T00:00:00Z' },
}
const descriptions: Record<PluginKind, string> = {
  classifier: 'Says why jobs of Signalbox failed',
  exporter: 'Tells others of events of Signalbox',
  admission: 'Decides when jobs of Signalbox may start',
  executor: 'Runs jobs of Signalbox',
}

/** Writes the files into a folder that is empty or not there yet. */
export function writePlugin(kind: PluginKind, name: string, folder: string): void {
  const from = path.join(packageRoot(), 'dist/cli/plugin-template', kind)
  mkdirSync(folder, { recursive: true })
  for (const file of readdirSync(from)) {
    const text = readFileSync(path.join(from, file), 'utf8')
    const filled = text.replaceAll('NAME', name).replaceAll('METRIC', name.replaceAll('-', '_'))
    writeFileSync(path.join(folder, file), filled)
  }
  writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifestOf(kind, name), null, 2)}\n`)
  writeFileSync(path.join(folder, '.gitignore'), 'node_modules\n')
}

/**
 * Lets the plugin's tests find `signalbox/plugin` where no package of that name lies above: by a link to this installation,
 * as `npm link` makes one. Returns whether it was needed.
 */
export function linkPackage(folder: string): boolean {
  try {
    module.createRequire(path.join(folder, 'index.js')).resolve('signalbox/plugin/testing')
    return false
  } catch {
    const place = path.join(folder, 'node_modules', 'signalbox')
    mkdirSync(path.dirname(place), { recursive: true })
    symlinkSync(packageRoot(), place, 'dir')
    return true
  }
}

function manifestOf(kind: PluginKind, name: string): object {
  return {
    name: `signalbox-plugin-${name}`,
    version: '0.1.0',
    description: descriptions[kind],
    type: 'module',
    exports: './index.js',
    files: ['index.js'],
    keywords: ['signalbox-plugin'],
    engines: { node: '>=20.19' },
    scripts: { test: 'node --test', check: 'signalbox plugin check .' },
    peerDependencies: { signalbox: `>=${version}` },
    signalbox: {
      apiVersion,
      kind: [kind],
      ...(permissions[kind] ? { permissions: permissions[kind] } : {}),
      ...(examples[kind] ? { example: examples[kind] } : {}),
    },
  }
}
