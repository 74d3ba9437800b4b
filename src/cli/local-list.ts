/** `signalbox run --list`: what a push of the working tree, or another event, would run. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { compileConfig } from '../core/ci-config/compile.js'
import { describeError } from '../core/ci-config/config-error.js'
import type { JobPlan } from '../core/ci-config/job-definition.js'
import type { PlanVariable } from '../core/ci-config/variables.js'
import type { PipelineSource } from '../core/pipeline.js'
import type { Context } from './context.js'
import { Exit, exitCodes } from './exit.js'
import { localEvent, planLocally } from './local-event.js'
import type { LocalIncludes } from './local-includes.js'
import type { WorkingTree } from './working-tree.js'

interface ListInput {
  tree: WorkingTree
  configPath: string
  /** Only these; all if there are none. */
  jobs: string[]
  alone: boolean
  source: PipelineSource
  ref: string | undefined
  project: string | undefined
  variables: PlanVariable[]
  includes: LocalIncludes
  json: boolean
}

/** Prints the jobs that the event would run, by stage. Throws `Exit` for a file with errors. */
export async function listLocally(context: Context, input: ListInput): Promise<void> {
  const { tree, configPath, jobs } = input
  const source = readFileSync(path.join(tree.root, configPath), 'utf8')
  const event = localEvent(tree, {
    source: input.source,
    ...(input.ref === undefined ? {} : { ref: input.ref }),
    ...(input.project === undefined ? {} : { project: input.project }),
    configPath,
    variables: input.variables,
  })
  const { variables } = event
  const { fetchInclude, listFiles } = input.includes
  const compiled = await compileConfig(source, { file: configPath, variables, fetchInclude, listFiles })
  if (!compiled.ok) {
    const lines = compiled.errors.map(
      (error) => `${error.file ?? configPath}:${error.line ?? 1}: ${describeError(error)}`,
    )
    throw new Exit(exitCodes.failed, lines.join('\n'))
  }
  const planned = planLocally(tree, compiled.config, {
    ...event,
    ...(jobs.length > 0 ? { onlyJobs: jobs, alone: input.alone } : {}),
  })
  if (!planned.ok) {
    const code = planned.asked === true ? exitCodes.notFound : exitCodes.failed
    throw new Exit(code, planned.errors.map((error) => error.message).join('\n'))
  }
  const rows = [...planned.plan.jobs].sort((a, b) => a.stageIndex - b.stageIndex).map(toListed)
  if (input.json) return context.json(rows)
  const { terminal } = context
  const widest = Math.max(...rows.map((row) => row.name.length))
  for (const row of rows) {
    const needs = row.needs === undefined ? '' : ` needs ${row.needs.map((need) => need.job).join(', ') || 'nothing'}`
    terminal.out(
      `${row.stage}  ${row.name.padEnd(widest)}  ${terminal.colors.dim(`${row.when}${row.allow_failure ? ', may fail' : ''}${needs}`)}`,
    )
  }
}

function toListed(job: JobPlan) {
  return {
    name: job.name,
    stage: job.stage,
    when: job.when,
    allow_failure: job.allowFailure,
    needs: job.needs?.map(({ job: name, artifacts, optional }) => ({ job: name, artifacts, optional })),
  }
}
