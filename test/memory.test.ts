/**
 * Where the process may remember something. What a node remembers is a part of its core (`src/core/memory.ts` and the parts
 * named in `src/core/core.ts`), what a transaction remembers hangs on its `tx`. A map of a module outlives both unseen: one
 * of them handed a job the variables of a pipeline of another project, which had been rolled back.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'

/** What modules remember all the same, and why it is no state of a coordinator, a store or a transaction. */
const allowed: Record<string, string> = {
  'cli/uncaught.ts listener': 'who is told when this process ends by a fault',
  'core/ci-config/compile-rules.ts compiledByRules': 'made of rules, which never change',
  'core/ci-config/facts-wanted.ts asking': 'made of a compiled configuration, which never changes',
  'core/ci-config/glob.ts cache': 'patterns, compiled, by their text',
  'core/ci-config/language-pool.ts shared': 'the threads of this process',
  'core/ci-config/meter.ts left': 'what the compilation under way may yet spend: it runs in one turn',
  'core/ci-config/plan-pipeline.ts names': 'made of a compiled configuration, which never changes',
  'core/ci-config/regex.ts engine': 'a module, loaded late',
  'core/ci-config/regex.ts cache': 'expressions, compiled, by their text',
  'core/ci-config/scope.ts indexes': 'made of a list of variables, which never changes',
  'core/ci-config/scope.ts merged': 'made of a compiled job, which never changes',
  'core/ci-config/worker.ts waiting': 'questions that this thread has asked',
  'core/ci-config/worker.ts questions': 'the number of the last of them',
  'core/payload/predefined-variables.ts ofCommits': 'made of a commit and what it is compared with',
  'core/payload/predefined-variables.ts parts': 'addresses in two, by their text',
  'core/payload/variable-text.ts around': 'made of a list of variables, which never changes',
  'core/payload/variable-text.ts textsOfAll': 'made of a list of variables, which never changes',
  'core/payload/variable-text.ts texts': 'made of a variable, which never changes',
  'core/store/hot-query.ts count': 'the number of the last statement that was declared',
  'core/store/jobs.ts writes': 'statements, by the columns that they write',
  'core/store/queue.ts probeQueries': 'statements, by the number of demands that they ask for',
  'http/body.ts expecting': 'answers to requests that wait for a go-ahead, each as long as its connection',
  'http/request-id.ts prefix': 'random, of this process',
  'http/request-id.ts count': 'the number of the last request',
  'plugins/executors/shell/shell-runner.ts alive': 'processes that end with this one',
  'runner/work-folder.ts inUse': 'folders that runners of this process have',
  'sim/read-committed-store.ts plain': 'statements, rewritten',
  'sim/world.ts compiled': 'configurations of the simulator, by their text',
}

/** What lives as long as a node, a store or a transaction, or is a row of it. */
const alive = /\b(?:Core|Store|Reader|Tx|Effects|Kysely|Dispatcher|Job|Lease|Pipeline|Project|Runner|RunnerManager)\b/

const src = path.resolve('src')
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !/^(gen|web)\//.test(file)) // The page's memory is a browser's.
  .sort()

const declaration =
  /^(?:export )?(let|var|const)\s+(\w+)(?:\s*:\s*([^=;\n]+))?(?:\s*=\s*([^\n]*))?|^\s+static (?:readonly )?(#?\w+)(?:\s*:\s*([^=;\n]+))?\s*=\s*([^\n]*)/gm
const collection = /\bnew (?:(?:Weak)?(?:Map|Set|Ref)|RecentMap|BoundedCache|LRUCache)\b|^\[\]|^\{\}/
const filled = /\bnew (?:Map|Set)(?:<[^\n]*>)?\([^)\s]/
const aFunction = /^(?:async\s*)?(?:<[^>]*>)?(?:\([^)]*\)(?:\s*:\s*[^=]+)?|\w+)\s*=>/

/** What a module declares at its top, or as a static member, that can change later: variables, and collections made empty. */
function statesOf(source: string): { name: string; type: string }[] {
  return [...source.matchAll(declaration)].flatMap(
    ([, kind, variable, type, value, member, memberType, memberValue]) => {
      const made = (value ?? memberValue ?? '').trim()
      const empty = collection.test(made) && !filled.test(made) && !aFunction.test(made)
      if (kind !== 'let' && kind !== 'var' && !empty) return []
      return [{ name: variable ?? member!, type: `${type ?? memberType ?? ''} ${made}` }]
    },
  )
}

const states = files.flatMap((file) =>
  statesOf(readFileSync(path.join(src, file), 'utf8')).map((state) => ({ ...state, name: `${file} ${state.name}` })),
)

it('is in no module that is not listed', () => {
  expect(states.map(({ name }) => name).filter((name) => allowed[name] === undefined)).toEqual([])
  expect(Object.keys(allowed).filter((name) => !states.some((state) => state.name === name))).toEqual([])
})

it('is in no module, listed or not, where it is of a core, a store, a transaction or their rows', () => {
  expect(states.filter(({ type }) => alive.test(type))).toEqual([])
})

it.each([
  'const opened = new WeakMap<Core, Map<number, PipelineVariables>>()',
  'export const seen: WeakMap<Tx, number> = new WeakMap()',
  'const stored = new WeakMap<Job, Readonly<Job>>()',
  'const both = { one: new Map<Store, string>(), other: new Set<Reader>() }',
  'let last: Pipeline | undefined',
  'class Jobs {\n  static readonly #known = new LRUCache<number, Job>({ max: 5 })\n}',
])('is found in `%s`', (planted) => {
  expect(statesOf(planted).filter(({ type }) => alive.test(type))).toHaveLength(1)
})

it.each([
  'const words = new Set([1])',
  'const find = (core: Core) => new Map<Core, string>()',
  'function f(tx: Tx) {\n  const jobs = new Map<Tx, Job>()\n}',
])('is not found in `%s`', (source) => {
  expect(statesOf(source)).toEqual([])
})
