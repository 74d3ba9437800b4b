/** `signalbox run`: the repository's pipeline on this machine, or what it would be. */
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { PipelineSource } from '../../core/pipeline.js'
import { type Context, openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { Interrupts } from '../interrupts.js'
import { checkHosts, type IncludeOptions, LocalIncludes } from '../local-includes.js'
import { checkedPath, checkedRef, configFile } from '../local-options.js'
import { readVariableFiles } from '../variable-file.js'
import { parseVariables } from '../variables.js'
import { type WorkingTree, workingTree } from '../working-tree.js'

interface RunOptions extends IncludeOptions {
  cwd?: string
  file?: string
  var?: string[]
  varFile?: string[]
  ref?: string
  source: PipelineSource
  project?: string
  executor?: 'shell' | 'docker'
  artifacts?: string | undefined
  only?: boolean
  list?: boolean
  json?: boolean
  quiet?: boolean
  timestamps?: boolean
  ui?: boolean
}

/** Runs the pipeline of a folder, or these jobs of it; its outcome is the exit code. */
export async function run(jobs: string[], options: RunOptions): Promise<void> {
  const context = openContext()
  const folder = path.resolve(context.cwd, options.cwd ?? '.')
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new Exit(exitCodes.notFound, `no folder ${folder}`)
  const tree = workingTree(folder)
  const configPath = configPathOf(tree, folder, options.file)
  if (options.only && jobs.length === 0) throw new Exit(exitCodes.usage, '--only: name the jobs to run')
  const event = {
    alone: options.only === true,
    source: options.source,
    ref: checkedRef(tree, options.ref),
    project: checkedPath(options.project),
    variables: [...readVariableFiles(context.cwd, options.varFile ?? []), ...parseVariables(options.var ?? [])],
  }
  checkHosts(options.allowIncludeHost)
  const includes = new LocalIncludes(context, tree, event.project, options)
  // Each is loaded when it is asked for: a list needs no coordinator.
  if (options.list) {
    const { listLocally } = await import('../local-list.js')
    return listLocally(context, { tree, configPath, jobs, ...event, includes, json: options.json === true })
  }
  const artifacts = options.artifacts === undefined ? undefined : artifactFolder(context, options.artifacts)
  const place = mkdtempSync(path.join(os.tmpdir(), 'signalbox-run-'))
  const remove = () => rmSync(place, { recursive: true, force: true, maxRetries: 3 })
  process.once('exit', remove)
  const interrupts = new Interrupts(context.terminal.say)
  try {
    const { runLocally } = await import('../local-run.js')
    const json = options.json === true
    const cacheDir = cacheFolder(context, tree)
    const output = {
      json,
      quiet: options.quiet === true,
      timestamps: options.timestamps === true,
      ui: options.ui === true,
    }
    await runLocally(context, {
      place,
      tree,
      configPath,
      jobs,
      ...event,
      includes,
      cacheDir,
      executor: options.executor,
      artifacts,
      ...output,
      interrupts,
    })
  } finally {
    interrupts.ignore()
    process.off('exit', remove)
    remove()
  }
}

/** Made before anything runs: a folder that cannot be is not found out by the last job. */
function artifactFolder(context: Context, given: string): string {
  const folder = path.resolve(context.cwd, given)
  try {
    mkdirSync(folder, { recursive: true })
  } catch (error) {
    throw new Exit(exitCodes.usage, `--artifacts: ${(error as Error).message}`)
  }
  return folder
}

/** The caches of this repository: https://specifications.freedesktop.org/basedir-spec/latest/ says where they belong. */
function cacheFolder({ env }: Context, { root }: WorkingTree): string {
  const given = env.XDG_CACHE_HOME ?? ''
  const base = path.isAbsolute(given) ? given : path.join(os.homedir(), '.cache')
  return path.join(base, 'signalbox', 'caches', createHash('sha256').update(root).digest('hex').slice(0, 32))
}

/** Path of the configuration from the repository's top; it must be there. */
function configPathOf(tree: WorkingTree, folder: string, given: string | undefined): string {
  const file = configFile(tree, folder, given)
  const inside = path.relative(tree.root, file)
  if (inside.startsWith('..') || path.isAbsolute(inside)) {
    throw new Exit(exitCodes.usage, `${file} is not in the repository ${tree.root}`)
  }
  return inside.split(path.sep).join('/')
}
