/** The code that runs inside a thread of the language. */
import { deserialize, serialize } from 'node:v8'
import { parentPort } from 'node:worker_threads'
import type { CiConfig, CompileOptions, CompileResult } from './compilation.js'
import { compileConfig } from './compile.js'
import { coverageIn } from './coverage.js'
import { type LookUpFacts, type PlanEvent, planEvent } from './language.js'
import type { PlanResult } from './planning.js'

/**
 * The side of a `LanguageThread` that runs in the thread. One task at a time; while it runs, whatever it must ask goes
 * over as a message and comes back answered.
 *
 *     → task      what to do, as data
 *     ← ask       a call of one of the caller's functions
 *     → answer    what it gave, or that it failed
 *     ← done      the result
 */
export type ToWorker = { kind: 'task'; task: Task } | { kind: 'answer'; question: number; ok: boolean; value?: unknown }

export type FromWorker =
  | { kind: 'ask'; question: number; name: string; args: unknown[] }
  | { kind: 'done'; result: unknown }

/** What a thread can do; `functions` of the caller can be asked by their names. */
export type Task =
  | { name: 'compile'; source: string; options: Omit<CompileOptions, FunctionName>; functions: FunctionName[] }
  | { name: 'plan'; packed: Uint8Array; event: PlanEvent }
  | { name: 'coverage'; log: string; pattern: string }

/** Options of the compiler that cannot cross threads, and are called by messages instead. */
export const functionNames = ['fetchInclude', 'listFiles', 'changedPaths', 'changedSince'] as const
export type FunctionName = (typeof functionNames)[number]

/** What a compilation gives: the configuration as bytes, which cost the other side nothing until it reads them. */
export interface PackedResult {
  result: CompileResult
  packed?: Uint8Array
}

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
  run(message.task).catch((error) => {
    throw error
  })
})

async function run(task: Task): Promise<void> {
  switch (task.name) {
    case 'compile':
      tellPacked(await compileConfig(task.source, withFunctions(task)))
      break
    case 'plan':
      tell({ kind: 'done', result: await plan(task.packed, task.event) })
      break
    case 'coverage':
      tell({ kind: 'done', result: coverageIn(task.log, task.pattern) })
  }
}

function withFunctions({ functions, options }: Extract<Task, { name: 'compile' }>): CompileOptions {
  const asking = Object.fromEntries(functions.map((name) => [name, (...args: unknown[]) => ask(name, args)]))
  return { ...options, ...asking } as CompileOptions
}

/** The document stays behind: it is for texts, which `outline` has made. */
function tellPacked(result: CompileResult): void {
  if (!result.ok) {
    tell({ kind: 'done', result: { result } satisfies PackedResult })
    return
  }
  const packed = serialize({ ...result.config, document: undefined })
  const config: CiConfig = { version: 1, stages: [], document: undefined }
  tell({ kind: 'done', result: { result: { ...result, config }, packed } satisfies PackedResult }, [packed.buffer])
}

function plan(packed: Uint8Array, event: PlanEvent): Promise<PlanResult> {
  const lookUp: LookUpFacts = (wanted) => ask('lookUp', [wanted]) as ReturnType<LookUpFacts>
  return planEvent(deserialize(packed) as CiConfig, event, lookUp)
}

function ask(name: string, args: unknown[]): Promise<unknown> {
  const question = questions++
  return new Promise((resolve, reject) => {
    waiting.set(question, { resolve, reject })
    tell({ kind: 'ask', question, name, args })
  })
}

function tell(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer)
}
