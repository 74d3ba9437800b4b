/** Finds out what rules will ask about files, so that only that is looked up. */
import type { CiConfig } from './compilation.js'
import type { CompiledConfig } from './config.js'
import { expandText } from './expand.js'
import type { Changes, Exists } from './keywords/rules.js'
import type { PlanContext } from './planning.js'
import { contextLayers, globalScope, jobScope, ownVariables, type Scope } from './scope.js'
import { mergeVariables } from './variables.js'

/** What the rules of a configuration will ask about files. */
export interface FactsWanted {
  /** `PlanContext.changedPaths` is looked at. */
  changedPaths: boolean
  /** `PlanContext.files` is looked at. */
  files: boolean
  /** Refs for `PlanContext.comparePaths`, expanded. */
  compareTo: string[]
  /** Projects and refs for `PlanContext.projectFiles`, expanded. */
  projects: { project: string; ref?: string }[]
}

/**
 * What to look up before `planPipeline`, which is synchronous and cannot ask: nothing of it costs anything when no rule
 * mentions it. `context` needs its variables only.
 */
export function factsWanted(config: CiConfig, context: Pick<PlanContext, 'variables' | 'strongFrom'>): FactsWanted {
  const compiled = config as CompiledConfig
  if (!asksForFiles(compiled)) return { changedPaths: false, files: false, compareTo: [], projects: [] }
  const full = { source: '', ref: '', tag: false, protected: false, defaultBranch: '', ...context }
  const collector = new Collector()
  const layers = contextLayers(full)
  const workflowRules = compiled.workflow.rules ?? []
  // Which workflow rule will match, and so which variables there will be, is not known yet.
  const globals = [
    compiled.variables,
    ...workflowRules.map((rule) => mergeVariables(compiled.variables, rule.variables ?? [])),
  ]
  for (const rule of workflowRules) collector.add(rule, () => [globalScope(full, layers, compiled.variables)])
  for (const job of compiled.jobs) {
    const scopes = (): Scope[] =>
      job.instances.flatMap((instance) =>
        globals.map((variables) => jobScope(full, layers, variables, job, instance, ownVariables(job, instance))),
      )
    for (const rule of job.rules ?? []) collector.add(rule, scopes)
    for (const policy of [job.only, job.except]) {
      if (policy?.changes !== undefined) collector.add({ changes: { paths: policy.changes } }, scopes)
    }
  }
  return collector.wanted()
}

const asking = new WeakMap<CompiledConfig, boolean>()

/** Whether any rule has a clause about files: most configurations have none. */
function asksForFiles(config: CompiledConfig): boolean {
  let answer = asking.get(config)
  if (answer === undefined) {
    const rules = [...(config.workflow.rules ?? []), ...config.jobs.flatMap((job) => job.rules ?? [])]
    const policies = config.jobs.flatMap(({ only, except }) => [only, except])
    answer =
      rules.some(({ changes, exists }) => changes !== undefined || exists !== undefined) ||
      policies.some((policy) => policy?.changes !== undefined)
    asking.set(config, answer)
  }
  return answer
}

class Collector {
  #changedPaths = false
  #files = false
  readonly #compareTo = new Set<string>()
  readonly #projects = new Map<string, { project: string; ref?: string }>()

  add({ changes, exists }: { changes?: Changes; exists?: Exists }, scopes: () => Scope[]): void {
    if (changes !== undefined && changes.compareTo === undefined) this.#changedPaths = true
    if (exists !== undefined && exists.project === undefined) this.#files = true
    if (changes?.compareTo === undefined && exists?.project === undefined) return
    for (const scope of scopes()) {
      const put = (text: string): string => expandText(text, scope.expanded, 'existing')
      if (changes?.compareTo !== undefined) this.#compareTo.add(put(changes.compareTo))
      if (exists?.project === undefined) continue
      const project = put(exists.project)
      const ref = exists.ref === undefined ? undefined : put(exists.ref)
      this.#projects.set(`${project}@${ref ?? ''}`, ref === undefined ? { project } : { project, ref })
    }
  }

  wanted(): FactsWanted {
    return {
      changedPaths: this.#changedPaths,
      files: this.#files,
      compareTo: [...this.#compareTo],
      projects: [...this.#projects.values()],
    }
  }
}
