/** Judges a runner by every rule, one scenario after the other, and tells it as people, JSON or JUnit want it. */
import type { CarrierName } from './doors.js'
import { Kit } from './kit.js'
import { type Rule, rules } from './rules.js'

export interface Judgement {
  carrier: CarrierName
  rule: string
  asks: string
  /** What is wrong; undefined: the rule is kept. */
  wrong?: string
  /** The last that the command printed, where a rule is broken. */
  output?: string
  ms: number
}

export interface RunnerCheck {
  carriers: readonly CarrierName[]
  /** How long each answer may take, in milliseconds. */
  withinMs: number
  /** Rules by their names; all if it is missing. */
  only?: readonly string[] | undefined
  onRule?: (judged: Judgement) => void
}

const atOnce = 3

export const ruleNames = rules.map(({ name }) => name)

/** Runs the command once for each rule and carrier. Never rejects for what it does: that is in the answer. */
export async function checkRunner(command: readonly string[], check: RunnerCheck): Promise<Judgement[]> {
  const asked = rules.filter(({ name }) => check.only === undefined || check.only.includes(name))
  const plans = check.carriers.flatMap((carrier) => asked.map((rule) => ({ carrier, rule })))
  const judged: Judgement[] = []
  const done = new Map<number, Judgement>()
  let next = 0
  // Scenarios wait most of the time, so that several go on at once; they are told in their order.
  const work = async () => {
    for (let index = next++; index < plans.length; index = next++) {
      done.set(index, await judge(command, plans[index]!, check.withinMs))
      for (let one = done.get(judged.length); one !== undefined; one = done.get(judged.length)) {
        judged.push(one)
        check.onRule?.(one)
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return judged
}

async function judge(
  command: readonly string[],
  { carrier, rule }: { carrier: CarrierName; rule: Rule },
  withinMs: number,
): Promise<Judgement> {
  const from = Date.now()
  const kit = await Kit.start(command, carrier, withinMs, rule.plays)
  const broken = await rule.play(kit).then(
    () => ({}),
    (error: Error) => ({ wrong: error.message, output: kit.output }),
  )
  kit.close()
  return { carrier, rule: rule.name, asks: rule.asks, ...broken, ms: Date.now() - from }
}

/** The form of test reports that CI systems read. */
export function toJUnit(judged: readonly Judgement[]): string {
  const cases = judged.map(({ carrier, rule, asks, wrong, output = '', ms }) => {
    const attributes = `classname="runner.${carrier}" name="${rule}: ${text(asks)}" time="${(ms / 1000).toFixed(3)}"`
    const failure = wrong === undefined ? '' : `<failure message="${text(wrong)}">${text(output)}</failure>`
    return `  <testcase ${attributes}>${failure}</testcase>`
  })
  const failures = judged.filter(({ wrong }) => wrong !== undefined).length
  const suite = `<testsuite name="signalbox runner check" tests="${judged.length}" failures="${failures}">`
  return ['<?xml version="1.0" encoding="UTF-8"?>', suite, ...cases, '</testsuite>', ''].join('\n')
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** As XML 1.0 can hold it. */
function text(given: string): string {
  const plain = given.replace(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd]/g, '?')
  return plain.replace(/[&<>"]/g, (one) => entities[one]!)
}
