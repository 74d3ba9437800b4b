/** `signalbox lint`: checks a configuration, here and without a coordinator. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { CompileResult } from '../../core/ci-config/compilation.js'
import { compileConfig } from '../../core/ci-config/compile.js'
import { type ConfigError, describeError } from '../../core/ci-config/config-error.js'
import { jsonSchema } from '../../core/ci-config/json-schema.js'
import { listPrefilled } from '../../core/ci-config/list-jobs.js'
import { mergedYaml } from '../../core/ci-config/merged-yaml.js'
import type { JobDecision, PlanResult } from '../../core/ci-config/planning.js'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { changedSince, isGuessed, type LocalEvent, localEvent, planLocally } from '../local-event.js'
import { checkHosts, type IncludeOptions, LocalIncludes } from '../local-includes.js'
import { checkedPath, checkedRef, configFile } from '../local-options.js'
import { type Terminal, table } from '../terminal.js'
import { parseVariables } from '../variables.js'
import { type WorkingTree, workingTree } from '../working-tree.js'

interface LintOptions extends IncludeOptions {
  project?: string
  json?: boolean
  merged?: boolean
  jobs?: boolean
  ref?: string
  source?: string
  var?: string[]
  schema?: boolean
}

/** What was found, and what the event would make of it. */
interface Findings {
  name: string
  event: LocalEvent
  result: CompileResult
  planned: PlanResult | undefined
  errors: ConfigError[]
  warnings: ConfigError[]
}

/** Checks a file, or the configuration of the folder. Throws `Exit` when it is wrong. */
export async function lint(file: string | undefined, options: LintOptions): Promise<void> {
  const context = openContext()
  const { terminal, json, cwd } = context
  if (options.schema) return json(jsonSchema())
  const place = path.resolve(cwd, path.dirname(file ?? '.'))
  const tree = workingTree(existsSync(place) ? place : cwd)
  const source = readSource(configFile(tree, cwd, file))
  const name = file ?? '.gitlab-ci.yml'
  checkHosts(options.allowIncludeHost)
  checkedRef(tree, options.ref)
  checkedPath(options.project)
  const includes = new LocalIncludes(context, tree, options.project, options)
  const found = await look(name, source, tree, includes, options)
  if (options.json) json(document(found, options))
  else report(terminal, found, options)
  if (found.errors.length > 0) throw new Exit(exitCodes.failed)
}

function readSource(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new Exit(exitCodes.notFound, `cannot read ${file}: ${(error as Error).message}`)
  }
}

async function look(
  name: string,
  source: string,
  tree: WorkingTree,
  { fetchInclude, listFiles }: LocalIncludes,
  options: LintOptions,
): Promise<Findings> {
  const event = localEvent(tree, {
    source: options.source ?? 'push',
    ...(options.ref === undefined ? {} : { ref: options.ref }),
    ...(options.project === undefined ? {} : { project: options.project }),
    configPath: name,
    variables: parseVariables(options.var ?? []),
  })
  const result = await compileConfig(source, {
    file: name,
    variables: event.variables,
    changedSince: async (ref) => changedSince(tree, ref),
    fetchInclude,
    listFiles,
  })
  const planned = result.ok ? planLocally(tree, result.config, { ...event, explain: options.jobs === true }) : undefined
  // A pipeline that cannot be made is the file's fault only for this event: told to those who asked about one.
  const refused = options.jobs && planned && !planned.ok && !planned.filtered ? planned.errors : []
  const warnings = [...result.warnings]
  if (options.jobs && result.ok && isGuessed(tree, result.config, event)) {
    const message = 'nobody knows here what the event changes, so rules:changes counts as true'
    warnings.push({ message, path: '' })
  }
  return { name, event, result, planned, errors: result.ok ? refused : result.errors, warnings }
}

/** `jobs`: those that the event would run. */
function document({ event, result, planned, errors, warnings }: Findings, options: LintOptions): object {
  const decisions = decisionsOf(planned)
  const by = new Map(decisions.map((decision) => [decision.job, decision]))
  return {
    valid: errors.length === 0,
    errors: errors.map(located),
    warnings: warnings.map(located),
    jobs: (planned?.ok ? planned.plan.jobs : []).map((job) => ({
      name: job.name,
      stage: job.stage,
      when: job.when,
      ...(options.jobs
        ? {
            allow_failure: job.allowFailure,
            needs: job.needs?.map(({ job: needed, artifacts, optional }) => ({ job: needed, artifacts, optional })),
            by: by.get(job.name)?.by,
            reason: by.get(job.name)?.detail,
          }
        : {}),
    })),
    ...(options.jobs
      ? { pipeline: pipelineOf(event, planned), left_out: decisions.filter(isLeftOut).map(toLeftOut) }
      : {}),
    variables: result.ok ? listPrefilled(result.config) : [],
    merged_yaml: result.ok ? mergedYaml(result.config) : null,
  }
}

function pipelineOf({ source, ref, tag }: LocalEvent, planned: PlanResult | undefined): object {
  const reason = planned === undefined || planned.ok ? null : planned.errors.map(({ message }) => message).join('\n')
  return { source, ref, tag, created: planned?.ok === true, reason }
}

function decisionsOf(planned: PlanResult | undefined): readonly JobDecision[] {
  if (planned === undefined) return []
  return (planned.ok ? planned.plan.decisions : planned.decisions) ?? []
}

function isLeftOut({ included }: JobDecision): boolean {
  return !included
}

function toLeftOut({ job, stage, by, detail }: JobDecision): object {
  return { name: job, stage, by, reason: detail }
}

function located(error: ConfigError): object {
  const { message, path: at, file, line, column } = error
  return { message, path: at, file: file ?? null, line: line ?? null, column: column ?? null }
}

function report(terminal: Terminal, found: Findings, options: LintOptions): void {
  const { name, result, planned } = found
  const { colors } = terminal
  const place = (error: ConfigError) =>
    `${error.file ?? name}${error.line === undefined ? '' : `:${error.line}:${error.column ?? 1}`}`
  for (const error of found.errors) terminal.say(`${place(error)}: ${colors.red('error')}: ${describeError(error)}`)
  for (const warning of found.warnings) {
    terminal.say(`${place(warning)}: ${colors.yellow('warning')}: ${describeError(warning)}`)
  }
  if (!result.ok) return
  if (found.errors.length === 0) terminal.say(`${name} is valid`)
  if (options.jobs && planned) reportJobs(terminal, found.event, planned)
  if (options.merged) terminal.write(mergedYaml(result.config))
}

/** A line for each job of the file: what would run, and of the others which rule says no. */
function reportJobs(terminal: Terminal, { source, ref, tag, detached }: LocalEvent, planned: PlanResult): void {
  const about = detached ? 'a detached HEAD' : `${tag ? 'tag' : 'branch'} ${ref}`
  terminal.say(`${source} of ${about}:${planned.ok ? '' : ' no pipeline'}`)
  if (!planned.ok && planned.filtered) terminal.say(planned.errors.map(({ message }) => message).join('\n'))
  const plans = new Map((planned.ok ? planned.plan.jobs : []).map((job) => [job.name, job]))
  const rows = decisionsOf(planned).map(({ job, stage, included, by, detail }) => {
    const plan = plans.get(job)
    const when = plan ? `${plan.when}${plan.allowFailure ? ', may fail' : ''}` : included ? 'not run' : 'left out'
    return [stage, job, when, by, detail]
  })
  table(terminal, ['STAGE', 'JOB', 'WHEN', 'BY', 'WHY'], rows)
}
