/** `signalbox variable set|list|unset`. */
import { readFileSync } from 'node:fs'
import { type Context, openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { table } from '../terminal.js'

interface Variable {
  variable_type: 'env_var' | 'file'
  key: string
  value: string | null
  hidden: boolean
  protected: boolean
  masked: boolean
  raw: boolean
  environment_scope?: string
  description: string | null
}

/** Whose variable: of the three at most one; none: of the project that the folder belongs to. */
export interface VariableOwner {
  project?: string
  group?: string
  instance?: boolean
}

/** What to set of a variable besides its value. */
export interface SetOptions extends VariableOwner {
  masked?: boolean
  hidden?: boolean
  protected?: boolean
  file?: boolean
  raw?: boolean
  scope?: string
  description?: string
}

/** Sets a variable that is there, or makes it. What no option names stays as it is. */
export async function setVariable(key: string, given: string | undefined, options: SetOptions): Promise<void> {
  const context = openContext()
  const { client, terminal } = context
  const url = variablesOf(context, options)
  const settings = {
    value: readValue(given, options.file ?? false),
    ...settingsOf(options),
  }
  const scope = options.scope ?? '*'
  if (!options.hidden) {
    try {
      await client().put(one(url, key, scope), settings)
      return terminal.say(`${key} set`)
    } catch (error) {
      if (!(error instanceof Exit) || error.code !== exitCodes.notFound) throw error
    }
  }
  await client().post(url, {
    ...settings,
    key,
    ...(options.hidden ? { masked_and_hidden: true } : {}),
    ...(options.instance ? {} : { environment_scope: scope }),
  })
  terminal.say(`${key} made`)
}

/** Prints variables; of masked ones no value. */
export async function listVariables(options: VariableOwner & { json?: boolean }): Promise<void> {
  const context = openContext()
  const { client, terminal, json } = context
  const all = await client().list<Variable>(variablesOf(context, options), 10_000)
  const shown = all.map((variable) => (variable.masked ? { ...variable, value: null } : variable))
  if (options.json) return json(shown)
  table(
    terminal,
    ['KEY', 'SCOPE', 'KIND', 'VALUE'],
    shown.map((variable) => [
      variable.key,
      variable.environment_scope ?? '*',
      kindOf(variable),
      variable.hidden ? '[hidden]' : variable.masked ? '[masked]' : brief(variable),
    ]),
  )
}

/** Deletes a variable. */
export async function unsetVariable(key: string, options: VariableOwner & { scope?: string }): Promise<void> {
  const context = openContext()
  await context.client().delete(one(variablesOf(context, options), key, options.scope))
  context.terminal.say(`${key} deleted`)
}

/** Where the variables are: of the project, unless another owner is named. */
function variablesOf(context: Context, { project, group, instance }: VariableOwner): string {
  if ([project, group, instance].filter(Boolean).length > 1) {
    throw new Exit(exitCodes.usage, '--project, --group and --instance exclude each other')
  }
  if (instance) return '/api/v4/admin/ci/variables'
  if (group) return `/api/v4/groups/${encodeURIComponent(group)}/variables`
  return `/api/v4/projects/${context.project(project)}/variables`
}

function one(url: string, key: string, scope: string | undefined): string {
  const filter = scope === undefined ? '' : `?filter[environment_scope]=${encodeURIComponent(scope)}`
  return `${url}/${encodeURIComponent(key)}${filter}`
}

function settingsOf(options: SetOptions): object {
  const { masked, raw, description, file } = options
  const flags = { masked, protected: options.protected, raw, description }
  return {
    ...Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined)),
    ...(file === undefined ? {} : { variable_type: file ? 'file' : 'env_var' }),
  }
}

/**
 * The value, from stdin if it is `-` or missing: what stands on the command line is seen by everybody on the machine. The
 * newline that ends most texts is no part of a value, but of a file.
 */
function readValue(given: string | undefined, file: boolean): string {
  if (given !== undefined && given !== '-') return given
  if (given === undefined && process.stdin.isTTY) {
    throw new Exit(exitCodes.usage, 'no value: give it on stdin, or as the second argument')
  }
  const text = readFileSync(0, 'utf8')
  return file ? text : text.replace(/\r?\n$/, '')
}

function kindOf(variable: Variable): string {
  const kinds = [
    variable.variable_type === 'file' ? 'file' : '',
    variable.protected ? 'protected' : '',
    variable.raw ? 'raw' : '',
  ].filter(Boolean)
  return kinds.join(',') || 'plain'
}

const briefLength = 40

function brief({ value }: Variable): string {
  const line = (value ?? '').split('\n', 1)[0]!
  return line.length > briefLength || line !== value ? `${line.slice(0, briefLength)}…` : line
}
