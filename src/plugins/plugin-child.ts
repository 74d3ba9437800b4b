/**
 * The process of one plugin, from inside. It does what the host asks of it, one message each, and speaks of itself only to
 * log. What the plugin's code does here ends, at worst, this process.
 */

import { asFault } from '../core/as-fault.js'
import { asAdmission, asCapabilities, asPrepareResult, asRunResult, asScrape, asVerdict } from './answers.js'
import { asError } from './as-error.js'
import { ownImport } from './child-import.js'
import { Here } from './here.js'
import type { AttachedHook, Fault, FromPlugin, Task, ToPlugin } from './messages.js'
import { isObject, oneLine } from './plain.js'
import { pluginLogger } from './plugin-log.js'
import type { Hooks, Named } from './scope.js'
import type { Admission, Classifier, Executor, Exporter, PluginLogger } from './sdk.js'

const clock = {
  now: () => Date.now(),
  after(ms: number, fn: () => void) {
    const timer = setTimeout(fn, ms)
    return () => clearTimeout(timer)
  },
}

const untakenLimit = 8 * 1024 * 1024
type Send = (message: FromPlugin, sent?: () => void) => void

class Inside {
  readonly #send: Send
  #here: Here | undefined
  #hooks: Hooks | undefined
  /** Output that the host has not taken yet, by call and piece. */
  readonly #untaken = new Map<string, (error?: string) => void>()
  #shownMetrics = ''

  constructor(send: Send) {
    this.#send = send
  }

  receive(message: ToPlugin): void {
    if ('ping' in message) this.#pong(message.ping)
    else if ('taken' in message) this.#untaken.get(`${message.taken}/${message.piece}`)?.(message.error)
    else this.#answer(message).catch(asFault)
  }

  async #answer(message: { ask: number } & Task): Promise<void> {
    const { ask } = message
    try {
      this.#send({ answer: ask, json: JSON.stringify((await this.#perform(message)) ?? null) })
    } catch (error) {
      this.#send({ answer: ask, fault: toFault(error) })
    }
  }

  async #perform(task: { ask: number } & Task): Promise<unknown> {
    switch (task.do) {
      case 'load': {
        const bringIn = () => ownImport(task.entry, task.provideSdk)
        this.#here = new Here({ clock, bringIn, kinds: task.kinds })
        return this.#here.load()
      }
      case 'configure':
        return this.#here?.configure(task.given)
      case 'setUp': {
        const around = { logger: this.#logger(), now: () => Date.now() }
        this.#hooks = await this.#here?.setUp(new Set(task.takenExecutors), around)
        return this.#hooks && attached(this.#hooks)
      }
      case 'call':
        return this.#call(task.ask, task)
      case 'close':
        return this.#here?.close(closeMs)
    }
  }

  /** Calls a hook. The answer is checked here for the author's sake, and by the host for its own. */
  async #call(ask: number, { kind, name, method, args }: Extract<Task, { do: 'call' }>): Promise<unknown> {
    const list: Named<unknown>[] = this.#hooks?.[`${kind}s`] ?? []
    const hook = list.find((one) => one.name === name)?.hook
    const call = calls[method]
    if (!hook || !call) throw new Error(`there is no ${method} of a ${kind} ${name}`)
    const [input, accept] = args
    const more = { accept: typeof accept === 'string' ? accept : '', output: this.#outputOf(ask) }
    return call(hook as never, input as never, more)
  }

  #outputOf(ask: number): (chunk: Uint8Array) => Promise<void> {
    let piece = 0
    let waiting = 0
    return (chunk) => {
      const taken = new Promise<void>((resolve, reject) => {
        if (!(chunk instanceof Uint8Array)) throw new TypeError('output takes bytes (Uint8Array)')
        if (waiting > 0 && waiting + chunk.byteLength > untakenLimit) {
          throw new Error('too much output at once: wait for output() before the next chunk')
        }
        const key = `${ask}/${++piece}`
        waiting += chunk.byteLength
        this.#untaken.set(key, (error) => {
          this.#untaken.delete(key)
          waiting -= chunk.byteLength
          if (error === undefined) resolve()
          else reject(new Error(error))
        })
        // A copy: the plugin may use its buffer again.
        this.#send({ output: ask, piece, chunk: Uint8Array.from(chunk) })
      })
      // Who does not wait for it does not hear of it either.
      taken.catch(() => undefined)
      return taken
    }
  }

  /** Lines of one turn leave together, and no more than the host would take. */
  #logger(): PluginLogger {
    let lines: [string, object, string][] = []
    const push = (level: string) => (fields: object, message: string) => {
      if (lines.length === 0) {
        setImmediate(() => {
          const log = JSON.stringify(lines)
          lines = []
          this.#send({ log })
        })
      }
      lines.push([level, fields, message])
    }
    const log = { debug: push('debug'), info: push('info'), warn: push('warn'), error: push('error') }
    return pluginLogger('', log, clock)
  }

  /** What the host learns each second: that this process answers, and the metrics if they have changed. */
  #pong(ping: number): void {
    const metrics = JSON.stringify(this.#here?.scope?.snapshot() ?? { series: [], dropped: 0 })
    const changed = metrics !== this.#shownMetrics
    this.#shownMetrics = metrics
    this.#send({ pong: ping, ...(changed ? { metrics } : {}) })
  }
}

const closeMs = 2000

interface More {
  accept: string
  output: (chunk: Uint8Array) => Promise<void>
}

type Call<Hook> = (hook: Hook, input: never, more: More) => Promise<unknown>

/** What each kind of hook can be asked. */
const calls: Record<string, Call<never>> = {
  classify: async (hook: Classifier, evidence) => asVerdict(await hook(evidence)),
  admit: async (hook: Admission, request) => asAdmission(await hook(request)),
  onEvents: async (hook: Exporter, events) => {
    await hook.onEvents?.(events)
  },
  scrape: async (hook: Exporter, gauges, { accept }) => asScrape(await hook.scrape?.(gauges, accept)),
  capabilities: async (hook: Executor, facts) => asCapabilities(await hook.capabilities(facts)),
  prepare: async (hook: Executor, input, { output }) => asPrepareResult(await hook.runner?.prepare(input, output)),
  run: async (hook: Executor, input, { output }) => asRunResult(await hook.runner?.run(input, output)),
  cancel: async (hook: Executor, input) => {
    await hook.runner?.cancel(input)
  },
  cleanUp: async (hook: Executor, input) => {
    await hook.runner?.cleanUp(input)
  },
}

function attached(all: Hooks): AttachedHook[] {
  const named = <T>(kind: AttachedHook['kind'], list: Named<T>[], methods: (hook: T) => string[]) =>
    list.map(({ name, hook }) => ({ kind, name, methods: methods(hook) }))
  return [
    ...named('executor', all.executors, (hook) => ['capabilities', ...(hook.runner ? ['runner'] : [])]),
    ...named('classifier', all.classifiers, () => ['classify']),
    ...named('exporter', all.exporters, (hook) =>
      (['onEvents', 'scrape'] as const).filter((method) => typeof hook[method] === 'function'),
    ),
    ...named('admission', all.admissions, () => ['admit']),
  ]
}

function toFault(thrown: unknown): Fault {
  const error = asError(thrown)
  const name = isObject(thrown) && typeof thrown.name === 'string' ? oneLine(thrown.name, 100) : 'Error'
  return { name, message: error.message, ...(error.stack === undefined ? {} : { stack: error.stack }) }
}

/** Takes the line to the host for itself, and lives as long as that. */
function begin(): void {
  const raw = process.send?.bind(process)
  if (!raw) throw new Error('this is started by Signalbox, beside it')
  for (const name of ['send', 'disconnect']) Reflect.deleteProperty(process, name)
  const send: Send = (message, sent = () => undefined) => {
    raw(message, undefined, undefined, sent)
  }
  const inside = new Inside(send)
  process.on('message', (message: ToPlugin) => inside.receive(message))
  // Without the host there is nothing to do; it ends this process in its own time otherwise.
  process.on('disconnect', () => process.exit(0))
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
  for (const what of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(what, (error: unknown) => send({ fault: toFault(error), what }, () => process.exit(1)))
  }
}

begin()
