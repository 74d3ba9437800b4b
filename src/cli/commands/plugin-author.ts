/** `signalbox plugin new|check`: what authors of plugins need, without a coordinator. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { parse } from 'smol-toml'
import type { CheckReport, RuleOutcome, RuleReport } from '../../plugins/check/report.js'
import { isHookName, pluginKinds } from '../../plugins/definition.js'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { linkPackage, writePlugin } from '../new-plugin.js'
import { printable } from '../printable.js'
import type { Terminal } from '../terminal.js'

/** Makes the folder of a new plugin. Throws `Exit` for a kind or name that is none, or a folder that holds something. */
export async function newPlugin(word: string, name: string): Promise<void> {
  const { terminal, cwd } = openContext()
  const kind = pluginKinds.find((one) => one === word)
  if (!kind)
    throw new Exit(exitCodes.usage, `there is no kind ${JSON.stringify(word)} of plugin: ${pluginKinds.join(', ')}`)
  if (!isHookName(name)) {
    throw new Exit(
      exitCodes.usage,
      `a plugin's name is lower-case letters, digits and dashes, not ${JSON.stringify(name)}`,
    )
  }
  const folder = path.resolve(cwd, name)
  if (existsSync(folder) && readdirSync(folder).length > 0) {
    throw new Exit(exitCodes.conflict, `${name} is there already, and not empty`)
  }
  writePlugin(kind, name, folder)
  if (linkPackage(folder)) terminal.say(`${name}/node_modules/signalbox leads to this installation`)
  terminal.say(`${name} is made. Next: cd ${name} && npm test && signalbox plugin check .`)
}

interface CheckFlags {
  config?: string
  env?: string[]
  json?: boolean
}

/** Runs the contract suite, a line for each rule. Throws `Exit` if one is broken. */
export async function checkPlugin(given: string | undefined, options: CheckFlags): Promise<void> {
  const { terminal, cwd, json } = openContext()
  const place = path.resolve(cwd, given ?? '.')
  if (!existsSync(place)) throw new Exit(exitCodes.notFound, `there is nothing at ${given}`)
  const config = options.config === undefined ? {} : { config: readConfig(path.resolve(cwd, options.config)) }
  const suite = await import('../../plugins/check/check-plugin.js')
  const report = await suite.checkPlugin(place, {
    env: options.env ?? [],
    ...config,
    ...(options.json ? {} : { onRule: (rule) => tell(terminal, rule) }),
  })
  if (options.json) json(report)
  else terminal.say(summary(report))
  if (!report.ok) throw new Exit(exitCodes.failed)
}

/** The table of a TOML file, as `[plugins.config]` would have it. */
function readConfig(file: string): Record<string, unknown> {
  try {
    return parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new Exit(exitCodes.usage, `${file} cannot be read as a table of TOML: ${(error as Error).message}`)
  }
}

function tell({ out, colors }: Terminal, { rule, outcome, message }: RuleReport): void {
  const marks: Record<RuleOutcome, string> = {
    kept: colors.green('✓'),
    broken: colors.red('✗'),
    advice: colors.yellow('!'),
  }
  out(`${marks[outcome]} ${rule}: ${printable(message)}`)
}

function summary({ plugin, rules }: CheckReport): string {
  const count = (outcome: RuleOutcome) => rules.filter((one) => one.outcome === outcome).length
  const advice = count('advice') === 0 ? '' : `, ${count('advice')} to think about`
  return `${printable(plugin ?? 'the plugin')}: ${count('kept')} rules kept, ${count('broken')} broken${advice}`
}
