/**
 * Lets plugins write `import … from 'signalbox/plugin'` wherever they lie: a folder beside the configuration has no
 * node_modules with us in it when we are installed globally, and a plugin that brings its own copy is to get ours. A
 * resolution hook answers that one name with a module that hands on what this process has loaded.
 * https://nodejs.org/api/module.html#customization-hooks
 */
import { register } from 'node:module'
import * as sdk from './sdk.js'

const key = 'signalbox.plugin'
let installed = false

/** Installs the hook, once a process: it costs a thread, so only who loads other people's plugins calls it. */
export function provideSdk(): void {
  if (installed) return
  installed = true
  Object.defineProperty(globalThis, Symbol.for(key), { value: Object.freeze({ ...sdk }), configurable: true })
  const names = Object.keys(sdk).join(', ')
  const bridge = moduleUrl(`export const { ${names} } = globalThis[Symbol.for('${key}')]`)
  register(
    moduleUrl(`
      export async function resolve(specifier, context, next) {
        if (specifier !== 'signalbox/plugin') return next(specifier, context)
        return { url: ${JSON.stringify(bridge)}, format: 'module', shortCircuit: true }
      }`),
  )
}

function moduleUrl(source: string): string {
  return `data:text/javascript,${encodeURIComponent(source)}`
}
