/**
 * Brings a plugin's module in, in the plugin's own process. `signalbox/plugin` must be found wherever the plugin lies: a
 * folder beside the configuration has no node_modules with us in it. Node from 22.15 on lets a function answer for the
 * name; older ones need a thread for that, so it is made only where the name would not be found (`provideSdk`).
 * https://nodejs.org/api/module.html#customization-hooks
 */
import module from 'node:module'
import { pathToFileURL } from 'node:url'
import { isObject } from './plain.js'
import * as sdk from './sdk.js'

const key = 'signalbox.plugin'

/** What the module of the file exports by default. Rejects with what it throws. */
export async function ownImport(entry: string, helped: boolean): Promise<unknown> {
  if (helped) provideSdk()
  const found: unknown = await import(pathToFileURL(entry).href)
  return isObject(found) ? found.default : undefined
}

type Resolve = (specifier: string, context: unknown, next: (specifier: string, context: unknown) => unknown) => unknown

/** Answers for `signalbox/plugin` from now on. Safe to repeat. */
export function provideSdk(): void {
  if (Symbol.for(key) in globalThis) return
  Object.defineProperty(globalThis, Symbol.for(key), { value: Object.freeze({ ...sdk }) })
  const names = Object.keys(sdk).join(', ')
  const bridge = moduleUrl(`export const { ${names} } = globalThis[Symbol.for('${key}')]`)
  const answer = { url: bridge, format: 'module', shortCircuit: true }
  const { registerHooks } = module as { registerHooks?: (hooks: { resolve: Resolve }) => void }
  if (registerHooks) {
    registerHooks({
      resolve: (specifier, context, next) => (specifier === 'signalbox/plugin' ? answer : next(specifier, context)),
    })
    return
  }
  module.register(
    moduleUrl(`
      export async function resolve(specifier, context, next) {
        return specifier === 'signalbox/plugin' ? ${JSON.stringify(answer)} : next(specifier, context)
      }`),
  )
}

function moduleUrl(source: string): string {
  return `data:text/javascript,${encodeURIComponent(source)}`
}
