import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { provideSdk } from '../../../src/plugins/child-import.js'
import {
  type ConfiguredPlugin,
  type LoadOptions,
  loadPlugins,
  type PluginStatus,
  type Plugins,
} from '../../../src/plugins/host.js'
import type { PluginDefinition } from '../../../src/plugins/sdk.js'
import { ManualClock } from '../../support/manual-clock.js'

// Plugins find it as they would in their own process.
provideSdk()

const importNatively: (url: string) => Promise<unknown> = createRequire(import.meta.url)('./native-import.cjs')

export interface LogLine {
  level: string
  fields: Record<string, unknown>
  message: string
}

/**
 * A folder beside which plugins lie, as a user has it, and a host that loads them: into this process, so that a test and
 * its plugins can have values in common. `isolation.test.ts` has them in processes of their own.
 */
export class PluginBench implements AsyncDisposable {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-plugins-'))
  readonly clock = new ManualClock()
  readonly logged: LogLine[] = []
  #loaded: Plugins[] = []

  get log() {
    const line = (level: string) => (fields: object, message: string) => {
      this.logged.push({ level, fields: fields as LogLine['fields'], message })
    }
    return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
  }

  /** Writes files; `package.json` as an object. Gives what the configuration names. */
  write(name: string, files: Record<string, string | object>): string {
    for (const [file, content] of Object.entries(files)) {
      const place = path.join(this.folder, name, file)
      mkdirSync(path.dirname(place), { recursive: true })
      writeFileSync(place, typeof content === 'string' ? content : JSON.stringify(content))
    }
    return `./${name}`
  }

  /** Writes a plugin: a manifest, and a module whose definition is `source` (the fields after id and apiVersion). */
  plugin(id: string, source: string, options: { manifest?: object; before?: string } = {}): string {
    const [kind, name = id] = id.split('.')
    return this.write(name, {
      'package.json': {
        name: `signalbox-plugin-${name}`,
        type: 'module',
        exports: './index.js',
        signalbox: { apiVersion: 1, kind: [kind], ...options.manifest },
      },
      'index.js': `
        import { definePlugin, PluginConfigError } from 'signalbox/plugin'
        ${options.before ?? ''}
        export default definePlugin({ id: '${id}', apiVersion: 1, ${source} })`,
    })
  }

  async load(
    configured: (string | ConfiguredPlugin)[],
    builtins: readonly PluginDefinition<never>[] | readonly PluginDefinition<unknown>[] = [],
    options: Partial<LoadOptions> = {},
  ): Promise<Plugins> {
    const plugins = await loadPlugins({
      builtins: builtins as readonly PluginDefinition<unknown>[],
      configured: configured.map((one) => (typeof one === 'string' ? { use: one } : one)),
      baseFolder: this.folder,
      log: this.log,
      clock: this.clock,
      importModule: importNatively,
      ...options,
    })
    this.#loaded.push(plugins)
    return plugins
  }

  /** Loads one plugin and gives its status with the host. */
  async loadOne(use: string | ConfiguredPlugin): Promise<PluginStatus & { plugins: Plugins }> {
    const plugins = await this.load([use])
    return { ...plugins.list()[0]!, plugins }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const plugins of this.#loaded) {
      const closed = plugins.close()
      await passing(this.clock, closed)
    }
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Waits for something while time passes, a second at each turn of the loop: deadlines fall due. */
export async function passing<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  let settled = false
  const done = promise.finally(() => {
    settled = true
  })
  done.catch(() => undefined)
  while (!settled) {
    await turn()
    if (!settled) clock.advance(1000)
  }
  return done
}

/** Waits, turn by turn, until something has happened. Time stands still. */
export async function until(happened: () => boolean): Promise<void> {
  while (!happened()) await turn()
}

/** One turn of the event loop: everything that is ready has happened. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** What plugins that `openTrail` see and we have in common: what they say they did, and ways to let them go on. */
export const shared: { trail: string[]; gates: Record<string, () => void> } = { trail: [], gates: {} }
Object.defineProperty(globalThis, Symbol.for('signalbox.test'), { value: shared, configurable: true })

/** Goes at the top of a plugin's source. */
export const openTrail = "const { trail, gates } = globalThis[Symbol.for('signalbox.test')]"

/** What plugins have said since the last look. */
export function trail(): string[] {
  return shared.trail.splice(0)
}

export const evidence = {
  job: { id: 1, name: 'unit', stage: 'test', projectPath: 'acme/app' },
  runnerReason: 'script_failure',
  message: '',
  exitCode: 1,
  signal: null,
  traceTail: '',
  facts: {},
  attempts: [],
  executor: 'shell',
}
