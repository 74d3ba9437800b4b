/** `signalbox runner check -- COMMAND`: what authors of runners need, without a coordinator. */
import { writeFileSync } from 'node:fs'
import type { CarrierName } from '../../conformance/doors.js'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { printable } from '../printable.js'

interface CheckFlags {
  transport?: CarrierName
  within: string
  rule?: string[]
  junit?: string
  json?: boolean
}

/** Runs the command through all scenarios, a line for each. Throws `Exit` (1) if a rule is broken, (2) for wrong flags. */
export async function checkRunnerCommand(command: string[], options: CheckFlags): Promise<void> {
  const { terminal, json } = openContext()
  const seconds = Number(options.within)
  if (!(seconds > 0 && seconds <= 600)) throw new Exit(exitCodes.usage, '--within must be seconds, from 1 to 600')
  const { checkRunner, ruleNames, toJUnit } = await import('../../conformance/check-runner.js')
  const unknown = options.rule?.find((name) => !ruleNames.includes(name))
  if (unknown !== undefined) throw new Exit(exitCodes.usage, `no rule ${unknown}: ${ruleNames.join(', ')}`)
  const { colors } = terminal
  const judged = await checkRunner(command, {
    carriers: options.transport === undefined ? ['websocket'] : [options.transport],
    withinMs: seconds * 1000,
    only: options.rule,
    onRule: ({ rule, asks, wrong, output }) => {
      if (options.json) return
      terminal.out(
        wrong === undefined
          ? `${colors.green('✓')} ${rule}: ${asks}`
          : `${colors.red('✗')} ${rule}: ${printable(wrong)}`,
      )
      const lines = (output ?? '').trim().split('\n').filter(Boolean).slice(-3)
      for (const line of lines) terminal.say(`    ${printable(line)}`)
    },
  })
  if (options.junit !== undefined) {
    try {
      writeFileSync(options.junit, toJUnit(judged))
    } catch (error) {
      throw new Exit(exitCodes.usage, `--junit: ${(error as Error).message}`)
    }
  }
  const broken = judged.filter(({ wrong }) => wrong !== undefined).length
  if (options.json) json(judged)
  else terminal.say(`${judged.length - broken} rules kept, ${broken} broken`)
  if (broken > 0) throw new Exit(exitCodes.failed)
}
