/** The routes of both APIs with what each reads and answers, as their sources say. */
import path from 'node:path'
import * as entities from '../../src/shim/entities.js'
import { Interpreter, type World } from './interpreter.js'
import { globals } from './operators.js'
import {
  any,
  known,
  literal,
  mapOf,
  native,
  numberOf,
  propertyOf,
  type Read,
  Reads,
  textOf,
  type Value,
  variants,
} from './values.js'

export interface ReadRoute {
  method: string
  /** With `:name` and `*name`. */
  path: string
  /** The module that it is declared in, by its name. */
  module: string
  /** What the handler's comment says. */
  about: string | undefined
  /** What one must be allowed to do in the project. */
  deed: string | undefined
  params: Reads
  /** The parts of the path that must be numbers. */
  numbers: Set<string>
  /** Who it asks for. */
  tokens: Set<'access' | 'job' | 'runner'>
  /** Bodies by status; undefined: not JSON, or none. */
  answers: Map<number, Value | undefined>
  /** Codes of the errors that the handler itself refuses with. */
  errors: Set<string>
  streams: boolean
}

/** The modules whose `…Route` functions make routes. */
const makers = new Set(['shim/call.ts', 'api/route.ts'].map((name) => path.resolve('src', name)))

const src = path.resolve('src')
const file = (name: string) => path.join(src, name)

/** All routes below `/api/v4` and `/api/signalbox/v1`. */
export async function readRoutes(): Promise<{ shim: ReadRoute[]; api: ReadRoute[] }> {
  const reader = new Reader()
  await reader.load()
  const shim = [...reader.routesOf('shim/app.ts'), ...rawRoutes.map((raw) => reader.raw(raw))]
  return {
    shim: shim.filter((one) => !one.path.startsWith('/.well-known') && !one.path.startsWith('/oauth')),
    api: reader.routesOf('api/app.ts'),
  }
}

/** The routes of one table of a module. */
export function routesIn(module: string, table: string): ReadRoute[] {
  return new Reader().tableOf(module, table)
}

/** What is answered in front of Express. */
const rawRoutes = [
  {
    method: 'post',
    path: '/jobs/request',
    module: 'http-poll',
    name: 'readPoll',
    tokens: 'runner',
    statuses: [201, 204],
  },
  { method: 'patch', path: '/jobs/:id/trace', module: 'append', name: 'answerAppend', tokens: 'job', statuses: [202] },
] as const

class Reader implements World {
  readonly entities = new Set(Object.keys(entities))
  #interpreter = new Interpreter(this)
  #route!: ReadRoute
  readonly #data = new Map<string, Record<string, unknown>>()

  /** Loads the modules whose constants handlers use. */
  async load(): Promise<void> {
    const pending = ['shim', 'api'].map((room) => file(`${room}/app.ts`))
    for (const seen = new Set(pending); pending.length > 0; ) {
      for (const { from } of this.#interpreter.importsOf(pending.pop()!)) {
        if (seen.has(from) || !from.startsWith(src)) continue
        seen.add(from)
        if (isFollowed(from)) pending.push(from)
        else this.#data.set(from, await import(from))
      }
    }
  }

  /** The routes of the tables that the module of an API puts together: what it imports as `…Routes` or `…Route`. */
  routesOf(app: string): ReadRoute[] {
    const tables = this.#interpreter.importsOf(file(app)).filter(({ name }) => /Routes?$/.test(name))
    return tables.flatMap(({ name, from }) => this.tableOf(from, name))
  }

  tableOf(module: string, name: string): ReadRoute[] {
    const table = this.#interpreter.exported(module, name)
    const made = table.is === 'function' ? table.call([any]) : table
    return (made.is === 'list' ? made.items : [made]).map((one) => this.#follow(one, path.basename(module, '.ts')))
  }

  /** A route as its maker makes it, with what its handler's comment says, and for whom it is. */
  #made(maker: Value, args: Value[]): Value {
    const route = maker.is === 'function' ? maker.call(args) : any
    if (route.is !== 'map') return route
    const handler = args.find((one) => one.is === 'function')
    const about = handler?.is === 'function' ? handler.about : undefined
    const needs = args.find((one) => one.is === 'map')
    const deed = needs && textOf(propertyOf(needs, 'deed'))
    const properties = new Map([...route.properties, ['about', literal(about)], ['deed', literal(deed)]] as const)
    return { ...route, properties }
  }

  raw({ method, path, module, name, tokens, statuses }: (typeof rawRoutes)[number]): ReadRoute {
    this.#begin(method, path, module, method === 'patch')
    const handler = this.#interpreter.exported(file(`shim/${module}.ts`), name)
    if (handler.is === 'function') handler.call([any, any, any, any, any, any])
    this.#route.tokens.add(tokens)
    for (const status of statuses) this.#route.answers.set(status, undefined)
    return this.#route
  }

  #begin(method: string, path: string, module: string, streams: boolean): void {
    this.#route = {
      method,
      path,
      module,
      streams,
      about: undefined,
      deed: undefined,
      params: new Reads(),
      numbers: new Set(),
      tokens: new Set(),
      answers: new Map(),
      errors: new Set(),
    }
  }

  #follow(route: Value, module: string): ReadRoute {
    const [method, path] = ['method', 'path'].map((name) => textOf(propertyOf(route, name)))
    const streams = propertyOf(route, 'streams')
    const handle = propertyOf(route, 'handle')
    if (method === undefined || path === undefined || handle.is !== 'function') {
      throw new Error(`a route of ${module} cannot be read`)
    }
    this.#begin(method, path, module, streams.is === 'literal' && streams.value === true)
    this.#route.about = textOf(propertyOf(route, 'about'))
    this.#route.deed = textOf(propertyOf(route, 'deed'))
    for (const reply of variants(handle.call([this.#call()]))) {
      const status = numberOf(propertyOf(reply, 'status'))
      if (status === undefined) continue
      const body = propertyOf(reply, 'body')
      const none = body.is === 'literal' && body.value === undefined
      this.#answer(status, none ? undefined : body)
    }
    return this.#route
  }

  #answer(status: number, body: Value | undefined): void {
    const before = this.#route.answers.get(status)
    this.#route.answers.set(status, before && body ? eitherOf(before, body) : (body ?? before))
  }

  /** The argument of a handler. */
  #call(): Value {
    const asks = (kind: 'access' | 'job' | 'runner') =>
      native(() => {
        this.#route.tokens.add(kind)
        return any
      })
    return mapOf({
      core: any,
      req: any,
      requestId: any,
      res: mapOf({
        writeHead: native((status) => {
          const code = numberOf(status)
          for (const one of status ? variants(status) : []) {
            const number = numberOf(one)
            if (number !== undefined) this.#answer(number, undefined)
          }
          return code === undefined ? any : mapOf({ end: native(() => any) })
        }),
        end: native(() => any),
        destroy: native(() => any),
        write: native(() => any),
        flushHeaders: native(() => any),
      }),
      params: { is: 'params', reads: this.#route.params },
      path: native(() => any),
      access: mapOf({
        actor: asks('access'),
        job: asks('job'),
        jobOf: asks('job'),
        runner: asks('runner'),
        runnerBy: asks('runner'),
        poller: asks('runner'),
        lintFor: native((_, lint) => (lint?.is === 'function' ? lint.call([]) : any)),
        checkRegistration: native((_, register) => (register?.is === 'function' ? register.call([]) : any)),
        signIn: native((_, __, signIn) => (signIn?.is === 'function' ? signIn.call([]) : any)),
        countWrong: native(() => any),
        countRegistration: native(() => any),
      }),
    })
  }

  imported(from: string, name: string): Value | undefined {
    if (from === '') return (globals as Record<string, Value>)[name] ?? any
    if (name === 'idOf') {
      return native((_, part, what) => {
        this.#route.numbers.add(textOf(part) ?? '')
        this.#route.errors.add('not_found')
        return what ?? any
      })
    }
    if (makers.has(from) && /Route$/.test(name)) {
      return native((...args) => this.#made(this.#interpreter.exported(from, name), args))
    }
    if (name === 'wrongParameter') return native((parameter, what) => this.#refuse(textOf(parameter), textOf(what)))
    if (name === 'refined') return native((code) => this.#error(textOf(code)))
    if (name === 'jobTokenOf') {
      return native(() => {
        this.#route.tokens.add('job')
        return any
      })
    }
    if (isFollowed(from)) return undefined
    const data = this.#data.get(from)?.[name]
    return typeof data === 'function' ? any : known(data)
  }

  made(className: string, args: Value[]): Value {
    if (className === 'Params') return { is: 'params', reads: this.#route.params }
    if (className !== 'SignalboxError') return any
    const message = /^(\w+) is missing/.exec(textOf(args[1]) ?? '')
    if (message) this.#refuse(message[1], 'is missing')
    return this.#error(textOf(args[0]))
  }

  #error(code: string | undefined): Value {
    if (code !== undefined) this.#route.errors.add(code)
    return any
  }

  /** A parameter that is refused where it is absent is required. */
  #refuse(name: string | undefined, what: string | undefined): Value {
    this.#route.errors.add('invalid')
    const { depth, absent } = this.#interpreter.flow
    const read = this.#route.params.byName.get(name ?? '')
    if (read && what === 'is missing' && depth === 1 && absent) read.required = true
    return any
  }

  getter(reads: Reads, method: string): Value {
    const inner = (read: Read): Reads => {
      read.inner ??= new Reads()
      return read.inner
    }
    switch (method) {
      case 'text':
      case 'integer':
      case 'boolean':
      case 'texts':
      case 'raw':
        return native((name, options) => {
          this.#read(reads, name, method, options)
          return any
        })
      case 'requiredText':
        return native((name, options) => {
          const read = this.#read(reads, name, 'text', options)
          if (read && this.#interpreter.flow.depth === 0) read.required = true
          return any
        })
      case 'choice':
        return native((name, values) => {
          const read = this.#read(reads, name, 'choice')
          const texts = values?.is === 'list' ? values.items.map(textOf) : []
          if (texts.length === 0 || texts.includes(undefined))
            throw new Error(`the values of ${textOf(name)} cannot be read`)
          if (read) read.values = texts as string[]
          return any
        })
      case 'map':
      case 'maps':
        return native((name) => {
          const read = this.#read(reads, name, method)
          if (!read) return any
          const map: Value = { is: 'params', reads: inner(read) }
          return method === 'map' ? map : { is: 'many', of: map }
        })
      case 'watched':
        return native(() => ({ is: 'params', reads }))
      case 'keys':
        return native(() => {
          reads.open = true
          return { is: 'many', of: any }
        })
      default:
        return any
    }
  }

  #read(
    reads: Reads,
    given: Value | undefined,
    kind: Read['kind'],
    options: Value = literal(undefined),
  ): Read | undefined {
    this.#route.errors.add('invalid')
    const name = textOf(given)
    if (name === undefined) {
      if (!reads.open) throw new Error(`${this.#route.path}: the name of a parameter cannot be read`)
      return undefined
    }
    const before = reads.byName.get(name)
    const [min, max] = ['min', 'max'].map((bound) => numberOf(propertyOf(options, bound)))
    const read: Read = {
      ...(before ?? { required: false }),
      kind: before && kind === 'raw' ? before.kind : kind,
      ...(min === undefined ? {} : { min }),
      ...(max === undefined ? {} : { max }),
    }
    reads.byName.set(name, read)
    return read
  }
}

function eitherOf(one: Value, other: Value): Value {
  return { is: 'one', of: [...variants(one), ...variants(other)] }
}

/** Only the rooms of the APIs themselves are followed. */
function isFollowed(module: string): boolean {
  return module.startsWith(file('shim/')) || module.startsWith(file('api/'))
}
