/**
 * Compiling a `.gitlab-ci.yml`, and the map of this folder.
 *
 *   text ──▶ assemble.ts            load.ts and yaml/ read; header.ts, inputs.ts and interpolate.ts fill in inputs;
 *     │                             include-entries.ts names what is included; merge.ts puts it together
 *     ▼
 *   one document (node.ts) ──▶ extends.ts, references.ts
 *     ▼
 *   compileDocument, here           keywords/ describe what may stand where, in the words of shape.ts; validate.ts reads by
 *     │                             them; jobs.ts makes jobs (static-definition.ts, compile-rules.ts, parallel.ts);
 *     │                             needs.ts and environments.ts check between jobs
 *     ▼
 *   compiled file (config.ts; CiConfig in compilation.ts), kept for every event of its commit
 *     │   ◀── an event and its surroundings (planning.ts); facts-wanted.ts says which files are asked about
 *     ▼
 *   plan-pipeline.ts                clauses.ts, expression.ts and glob.ts decide rules with the variables of scope.ts;
 *     │                             complete-job.ts completes each job
 *     ▼
 *   a pipeline's jobs (job-definition.ts)
 *
 * What is wrong goes to findings.ts, with places from sources.ts. language.ts is the face to the rest of the core, and runs it
 * all in this thread or in others (language-pool.ts, language-thread.ts, worker.ts).
 */
import { type AssemblyTrace, assemble } from './assemble.js'
import type { CompileOptions, CompileOutcome, CompileResult } from './compilation.js'
import { toWorkflowRule } from './compile-rules.js'
import type { CompiledConfig, CompiledWorkflow, Prefill } from './config.js'
import type { ConfigError } from './config-error.js'
import { checkOnStop } from './environments.js'
import { resolveExtends } from './extends.js'
import { Findings, StopCompilation } from './findings.js'
import { readJobs } from './jobs.js'
import { globalDefaults, rootKeys, workflow as workflowShape } from './keywords/root.js'
import { listJobs } from './list-jobs.js'
import { MergeBudget } from './merge.js'
import { encodeDocument, mergedYaml } from './merged-yaml.js'
import { checkNeeds } from './needs.js'
import { type Entry, isNull, type MapNode } from './node.js'
import { offerOf } from './offer.js'
import { resolveReferences } from './references.js'
import type { Shape, ValueOf } from './shape.js'
import { Sources } from './sources.js'
import type { Defaults } from './static-definition.js'
import { validate } from './validate.js'
import { toPlanVariables } from './variables.js'

/**
 * Compiles the text of a `.gitlab-ci.yml`. The order is fixed, since each step sees only what those before it made:
 * YAML, header and inputs, includes, `extends`, `!reference`, keywords, jobs, needs (lib/gitlab/ci/config.rb,
 * lib/gitlab/ci/yaml_processor.rb).
 *
 * The same text, options and included files always give the same result, which is plain data and may be cached.
 *
 * @returns the configuration, or everything that was found wrong, each with file, line, column and path
 */
export async function compileConfig(source: string, options: CompileOptions): Promise<CompileResult> {
  const sources = new Sources()
  const findings = new Findings(sources)
  const trace: AssemblyTrace = { looked: new Set(), includes: [] }
  const outcome = await compileFile(source, options, findings, trace)
  const outline =
    options.outline === true && outcome.ok
      ? { outline: { mergedYaml: mergedYaml(outcome.config), jobs: listJobs(outcome.config) } }
      : {}
  const offer = options.outline === true ? { offer: offerOf(trace.inputs, outcome) } : {}
  for (const list of [findings.errors, findings.warnings]) list.sort(byPlace)
  return { ...outcome, looked: [...trace.looked].toSorted(), includes: trace.includes, ...outline, ...offer }
}

async function compileFile(
  source: string,
  options: CompileOptions,
  findings: Findings,
  trace: AssemblyTrace,
): Promise<CompileOutcome> {
  const { sources } = findings
  try {
    const budget = new MergeBudget()
    const assembled = await assemble(source, options, findings, budget, trace)
    const config = compileDocument(resolveReferences(resolveExtends(assembled, budget)), findings)
    if (config !== undefined) return { ok: true, config, warnings: findings.warnings }
  } catch (thrown) {
    if (!(thrown instanceof StopCompilation)) findings.errors.push(sources.describeThrown(thrown))
  }
  return { ok: false, errors: findings.errors, warnings: findings.warnings }
}

/** As they stand in the files, the main one first. */
function byPlace(one: ConfigError, other: ConfigError): number {
  const [file, otherFile] = [one.file ?? '', other.file ?? '']
  if (file !== otherFile) return file < otherFile ? -1 : 1
  return (one.line ?? 0) - (other.line ?? 0) || (one.column ?? 0) - (other.column ?? 0)
}

function compileDocument(root: MapNode, findings: Findings): CompiledConfig | undefined {
  const stages = readStages(root, findings)
  const defaults = readDefaults(root, findings)
  const variables = readKey(root, 'variables', rootKeys.variables.shape, findings)
  const workflow = readWorkflow(root, findings)
  const hasWorkflowRules = workflow.rules !== undefined
  const jobs = readJobs(root, { defaults, stages, hasWorkflowRules, findings })
  checkNeeds(jobs, findings)
  checkOnStop(jobs, findings)
  if (findings.failed || stages === undefined) return undefined
  return {
    version: 1,
    stages,
    workflow,
    variables: toPlanVariables(variables),
    prefill: toPrefill(variables),
    jobs: jobs.drafts.map(({ job }) => job),
    document: encodeDocument(root),
  }
}

function readKey<T>(root: MapNode, key: string, shape: Shape<T>, findings: Findings): T | undefined {
  const entry = root.entries.get(key)
  return entry === undefined || isNull(entry.value) ? undefined : validate(shape, entry.value, key, findings)
}

/**
 * `.pre` is always first and `.post` last, wherever a list names them; an empty list stays empty.
 *
 * @returns undefined when the list was refused
 */
function readStages(root: MapNode, findings: Findings): string[] | undefined {
  const before = findings.met
  const given = readKey(root, 'stages', rootKeys.stages.shape, findings)
  if (findings.met > before) return undefined
  if (given?.length === 0) return []
  const inner = (given ?? ['build', 'test', 'deploy']).filter((stage) => stage !== '.pre' && stage !== '.post')
  return ['.pre', ...new Set(inner), '.post']
}

/** `default`, and its keywords in their old place at the top. */
function readDefaults(root: MapNode, findings: Findings): Defaults {
  const defaults: Defaults = { ...readKey(root, 'default', rootKeys.default.shape, findings) }
  for (const key of globalDefaults) {
    const value = readKey<unknown>(root, key, rootKeys[key].shape, findings)
    if (value === undefined) continue
    if (defaults[key] !== undefined) {
      findings.error(`${key} is defined both here and in default`, (root.entries.get(key) as Entry).at, key)
    }
    Object.assign(defaults, { [key]: value })
  }
  return defaults
}

function readWorkflow(root: MapNode, findings: Findings): CompiledWorkflow {
  const value: ValueOf<typeof workflowShape> = readKey(root, 'workflow', workflowShape, findings) ?? {}
  return {
    autoCancel: {
      onNewCommit: value.auto_cancel?.on_new_commit ?? 'conservative',
      onJobFailure: value.auto_cancel?.on_job_failure ?? 'none',
    },
    ...(value.name === undefined ? {} : { name: value.name }),
    ...(value.rules === undefined ? {} : { rules: value.rules.map(toWorkflowRule) }),
  }
}

function toPrefill(variables: ValueOf<typeof rootKeys.variables.shape> | undefined): Prefill[] {
  return Array.from(variables ?? [], ([key, value]) => ({ key, ...value }))
}
