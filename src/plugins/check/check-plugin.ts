/**
 * The contract suite: whether a plugin keeps what Signalbox asks of one. It runs in a process of its own, with the rights and
 * deadlines that it will have; nothing of its code is loaded here.
 */
import { readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { asError } from '../as-error.js'
import { isObject, oneLine } from '../plain.js'
import { executorRules } from './executor-rules.js'
import { hookRules } from './hook-rules.js'
import { packageRules } from './package-rules.js'
import type { CheckOptions, CheckReport, RuleReport } from './report.js'
import type { Checked, Rule } from './rule.js'
import { endRules, startRules } from './start-rules.js'
import { Scratch, Subject } from './subject.js'

const messageLength = 500

/**
 * Checks the plugin in a folder, or in a single file. Never rejects for what a plugin does: that is in the report. What
 * has no package.json is not asked about it.
 */
export async function checkPlugin(folder: string, options: CheckOptions = {}): Promise<CheckReport> {
  using scratch = new Scratch()
  // Processes of plugins keep nobody alive; whoever waits for this wants to hear the end.
  using _ = awake()
  const rules: RuleReport[] = []
  const tell = (report: RuleReport) => {
    rules.push(report)
    options.onRule?.(report)
  }
  let checked: Checked
  const manifest = manifestOf(folder)
  try {
    const fresh = await Subject.find(folder, scratch.make('work'), options)
    checked = { folder, manifest, config: options.config ?? exampleOf(manifest), fresh, subject: fresh(), scratch }
    const found = Object.keys(manifest).length === 0 ? 'a single file' : 'package.json names version, kinds and entry'
    tell({ rule: 'package', outcome: 'kept', message: found })
  } catch (error) {
    tell({ rule: 'package', outcome: 'broken', message: oneLine(asError(error).message, messageLength) })
    return { plugin: null, ok: false, rules }
  }
  try {
    for (const rule of allRules(manifest)) {
      const report = await keep(rule, checked)
      if (report) tell(report)
      if (report?.outcome === 'broken' && rule.weight === 'first') break
    }
  } finally {
    await checked.subject.close().catch(() => undefined)
  }
  const ok = rules.every(({ outcome }) => outcome !== 'broken')
  return { plugin: checked.subject.facts?.id ?? null, ok, rules }
}

function awake(): Disposable {
  const timer = setInterval(() => undefined, 60_000)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

function allRules(manifest: Record<string, unknown>): Rule[] {
  const ofPackage = Object.keys(manifest).length === 0 ? [] : packageRules
  return [...ofPackage, ...startRules, ...hookRules, ...executorRules, ...endRules]
}

async function keep(rule: Rule, checked: Checked): Promise<RuleReport | undefined> {
  const { kind, name } = rule
  if (kind && !checked.subject.facts?.kinds.includes(kind)) return undefined
  try {
    const note = await rule.keep(checked)
    return {
      rule: name,
      outcome: 'kept',
      message: typeof note === 'string' && note !== '' ? `${rule.asks} (${oneLine(note, 200)})` : rule.asks,
    }
  } catch (error) {
    const outcome = rule.weight === 'advice' ? 'advice' : 'broken'
    return { rule: name, outcome, message: oneLine(`${rule.asks}: ${asError(error).message}`, messageLength) }
  }
}

function manifestOf(folder: string): Record<string, unknown> {
  try {
    if (!statSync(folder).isDirectory()) return {}
    const manifest: unknown = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))
    return isObject(manifest) ? manifest : {}
  } catch {
    // Whoever looks for the plugin says what is wrong with it.
    return {}
  }
}

function exampleOf(manifest: Record<string, unknown>): Record<string, unknown> {
  const { signalbox } = manifest
  return isObject(signalbox) && isObject(signalbox.example) ? signalbox.example : {}
}
