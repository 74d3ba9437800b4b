/** `signalbox lint`: checks a configuration, here and without a coordinator. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { compileConfig } from '../../core/ci-config/compile.js'
import { mergedYaml } from '../../core/ci-config/merged-yaml.js'
import type { CiConfig, CompileResult, ConfigError } from '../../core/ci-config/plan.js'
import { planPipeline } from '../../core/ci-config/plan-pipeline.js'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { localIncludes, workingTree } from '../working-tree.js'

export async function lint(file: string | undefined, options: { json?: boolean; merged?: boolean }): Promise<void> {
  const { terminal, json, cwd } = openContext()
  const name = file ?? '.gitlab-ci.yml'
  const source = readSource(path.resolve(cwd, name))
  const tree = workingTree(path.dirname(path.resolve(cwd, name)))
  const result = await compileConfig(source, { file: name, ...localIncludes(tree.root) })
  const errors = result.ok ? [] : result.errors
  const jobs = result.ok ? jobsOf(result.config, tree) : []
  if (options.json) {
    json({
      valid: result.ok,
      errors: errors.map(located),
      warnings: result.warnings.map(located),
      jobs,
      merged_yaml: result.ok ? mergedYaml(result.config) : null,
    })
  } else {
    report(terminal, name, result)
    if (result.ok && options.merged) terminal.write(mergedYaml(result.config))
  }
  if (!result.ok) throw new Exit(exitCodes.failed)
}

function readSource(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new Exit(exitCodes.notFound, `cannot read ${file}: ${(error as Error).message}`)
  }
}

/** Names of the jobs that a push of the present branch would run. */
function jobsOf(config: CiConfig, tree: ReturnType<typeof workingTree>): object[] {
  const planned = planPipeline(config, {
    source: 'push',
    ref: tree.branch,
    tag: false,
    protected: true,
    defaultBranch: tree.branch,
    variables: [],
    strongFrom: 0,
  })
  if (!planned.ok) return []
  return planned.plan.jobs.map((job) => ({ name: job.name, stage: job.stage, when: job.when }))
}

function located(error: ConfigError): object {
  const { message, path: at, file, line, column } = error
  return { message, path: at, file: file ?? null, line: line ?? null, column: column ?? null }
}

function report(terminal: ReturnType<typeof openContext>['terminal'], name: string, result: CompileResult): void {
  const { colors } = terminal
  const place = (error: ConfigError) =>
    `${error.file ?? name}${error.line === undefined ? '' : `:${error.line}:${error.column ?? 1}`}`
  if (!result.ok)
    for (const error of result.errors) terminal.say(`${place(error)}: ${colors.red('error')}: ${error.message}`)
  for (const warning of result.warnings) {
    terminal.say(`${place(warning)}: ${colors.yellow('warning')}: ${warning.message}`)
  }
  if (result.ok) terminal.say(`${name} is valid`)
}
