import { parentPort } from 'node:worker_threads'
import { compileConfig } from './compile.js'
import type { CompileOptions, CompileResult } from './plan.js'

/**
 * The far side of compile-in-worker.ts, one compilation at a time:
 *
 *     → compile   source and options
 *     ← ask       a call of an option that is a function
 *     → answer    what it gave, or that it failed
 *     ← done      the result
 */
export type ToWorker =
  | { kind: 'compile'; source: string; options: PlainOptions }
  | { kind: 'answer'; question: number; ok: boolean; value?: unknown }

export type FromWorker =
  | { kind: 'ask'; question: number; name: FunctionName; args: unknown[] }
  | { kind: 'done'; result: CompileResult }

/** The options that cannot cross threads, and are called by messages instead. */
export const functionNames = ['fetchInclude', 'listFiles', 'changedPaths', 'changedSince'] as const
export type FunctionName = (typeof functionNames)[number]

/** Options without functions, and which of those there are. */
export type PlainOptions = Omit<CompileOptions, FunctionName> & { functions: FunctionName[] }

const port = parentPort
const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
let questions = 0

port?.on('message', (message: ToWorker) => {
  if (message.kind === 'answer') {
    const asker = waiting.get(message.question)
    waiting.delete(message.question)
    if (message.ok) asker?.resolve(message.value)
    else asker?.reject(new Error('the caller could not answer'))
    return
  }
  // A fault of our own ends the thread, which the other side tells as a crash.
  void compileConfig(message.source, withFunctions(message.options)).then((result) => tell({ kind: 'done', result }))
})

function withFunctions({ functions, ...options }: PlainOptions): CompileOptions {
  const asking = Object.fromEntries(functions.map((name) => [name, (...args: unknown[]) => ask(name, args)]))
  return { ...options, ...asking } as CompileOptions
}

function ask(name: FunctionName, args: unknown[]): Promise<unknown> {
  const question = questions++
  return new Promise((resolve, reject) => {
    waiting.set(question, { resolve, reject })
    tell({ kind: 'ask', question, name, args })
  })
}

function tell(message: FromWorker): void {
  port?.postMessage(message)
}
