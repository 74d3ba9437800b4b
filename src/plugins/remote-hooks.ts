/** The hooks of a plugin that runs elsewhere, as the host calls them. */
import type { AttachedHook, Task } from './messages.js'
import type { Sink } from './plugin-process.js'
import { type Hooks, noHooks } from './scope.js'
import type { ExecutorRunner } from './sdk.js'

type Ask = (task: Task, sink?: Sink) => Promise<unknown>

/** Makes the hooks that a plugin has attached in its process: each call is asked there. */
export function remoteHooks(attached: readonly AttachedHook[], ask: Ask): Hooks {
  const hooks = noHooks()
  for (const { kind, name, methods } of attached) {
    const call = (method: string, args: unknown[], sink?: Sink) =>
      ask({ do: 'call', kind, name, method, args }, sink) as Promise<never>
    const one = (method: string) => (input: unknown) => call(method, [input])
    switch (kind) {
      case 'classifier':
        hooks.classifiers.push({ name, hook: one('classify') })
        break
      case 'admission':
        hooks.admissions.push({ name, hook: one('admit') })
        break
      case 'exporter':
        hooks.exporters.push({
          name,
          hook: {
            ...(methods.includes('onEvents') ? { onEvents: one('onEvents') } : {}),
            ...(methods.includes('scrape')
              ? { scrape: (gauges: unknown, accept: string) => call('scrape', [gauges, accept]) }
              : {}),
          },
        })
        break
      case 'executor': {
        const runner: ExecutorRunner = {
          prepare: (input, output) => call('prepare', [input], output),
          run: (input, output) => call('run', [input], output),
          cancel: one('cancel'),
          cleanUp: one('cleanUp'),
        }
        const hook = { capabilities: one('capabilities'), ...(methods.includes('runner') ? { runner } : {}) }
        hooks.executors.push({ name, hook })
      }
    }
  }
  return hooks
}
