/** What hooks may give back: each answer is copied and checked before the core sees it. All throw `ShapeError`. */
import type { FailureClass, Verdict } from '../core/evidence.js'
import { type FailureReason, failureReasons } from '../core/failure.js'
import { isObject, nameOf, oneLine, type PlainLimits, ShapeError, toPlain, toPlainObject } from './plain.js'
import type { AdmissionVerdict, PrepareFailure, PrepareResult, RunResult, Scrape } from './sdk.js'

const failureClasses: Record<FailureClass, true> = {
  script: true,
  config: true,
  image: true,
  dependency: true,
  capacity: true,
  interrupted: true,
  runner_lost: true,
  timeout_job: true,
  timeout_idle: true,
  policy: true,
  canceled: true,
  internal: true,
  unknown: true,
}

const small: PlainLimits = { values: 1000, characters: 64 * 1024 }
const explanationLength = 1000
const mostLines = 5
const lineLength = 300
const bodyLength = 16 * 1024 * 1024

/** A classifier's answer: a verdict, or nothing (`undefined` or `null`). */
export function asVerdict(value: unknown): Verdict | undefined {
  if (value === undefined || value === null) return undefined
  const {
    reason,
    class: failureClass,
    retryable,
    confidence,
    explanation,
    lines,
    rule,
    ...more
  } = toPlainObject(value, small)
  if (typeof reason !== 'string' || !Object.hasOwn(failureReasons, reason)) {
    throw new ShapeError('reason', `is not a failure reason: ${shown(reason)}`)
  }
  if (typeof failureClass !== 'string' || !Object.hasOwn(failureClasses, failureClass)) {
    throw new ShapeError('class', `is not a failure class: ${shown(failureClass)}`)
  }
  if (typeof retryable !== 'boolean') throw new ShapeError('retryable', `must be a boolean, not ${nameOf(retryable)}`)
  if (typeof explanation !== 'string') throw new ShapeError('explanation', `must be a text, not ${nameOf(explanation)}`)
  if (explanation.length > explanationLength) {
    throw new ShapeError('explanation', `has more than ${explanationLength} characters`)
  }
  refuseMore(more)
  return {
    reason: reason as FailureReason,
    class: failureClass as FailureClass,
    retryable,
    ...(confidence === undefined ? {} : { confidence: asConfidence(confidence) }),
    explanation: oneLine(explanation, explanationLength),
    ...(lines === undefined ? {} : { lines: asLines(lines) }),
    ...(rule === undefined ? {} : { rule: asRule(rule) }),
  }
}

function asConfidence(value: unknown): number {
  if (typeof value === 'number' && value >= 0 && value <= 1) return value
  throw new ShapeError('confidence', `must be a number from 0 to 1, not ${shown(value)}`)
}

function asRule(value: unknown): string {
  if (typeof value === 'string' && /^[\w.-]{1,64}$/.test(value)) return value
  throw new ShapeError('rule', `is not the name of a rule: ${shown(value)}`)
}

function asLines(value: unknown): string[] {
  if (!Array.isArray(value)) throw new ShapeError('lines', `must be a list of texts, not ${nameOf(value)}`)
  if (value.length > mostLines) throw new ShapeError('lines', `has more than ${mostLines} lines`)
  return Array.from(value as unknown[], (line, at) => {
    if (typeof line === 'string') return oneLine(line, lineLength)
    throw new ShapeError(`lines.${at}`, `must be a text, not ${nameOf(line)}`)
  })
}

/** An executor's capabilities: at most 100 short words. */
export function asCapabilities(value: unknown): string[] {
  if (!Array.isArray(value)) throw new ShapeError('', `must be a list of features, not ${nameOf(value)}`)
  if (value.length > 100) throw new ShapeError('', 'more than 100 features')
  return Array.from(value as unknown[], (item, at) => {
    if (typeof item === 'string' && /^[\w][\w.:-]{0,63}$/.test(item)) return item
    throw new ShapeError(String(at), `is not the name of a feature: ${shown(item)}`)
  })
}

/** An exporter's page for `/metrics`. */
export function asScrape(value: unknown): Scrape {
  if (!isObject(value)) throw new ShapeError('', `must be an object with a body, not ${nameOf(value)}`)
  const { contentType, body } = value
  if (typeof contentType !== 'string' || !/^[\x20-\x7e]{1,200}$/.test(contentType)) {
    throw new ShapeError('contentType', 'must be one line of at most 200 characters')
  }
  if (typeof body !== 'string') throw new ShapeError('body', `must be a text, not ${nameOf(body)}`)
  if (body.length > bodyLength) throw new ShapeError('body', `has more than ${bodyLength} characters`)
  return { contentType, body }
}

/** What an executor's `prepare` gives. */
export function asPrepareResult(value: unknown): PrepareResult {
  const { facts, shell, failure, ...more } = toPlainObject(value, small)
  if (failure !== undefined) {
    refuseMore({ ...(facts === undefined ? {} : { facts }), ...(shell === undefined ? {} : { shell }), ...more })
    return { failure: asPrepareFailure(failure) }
  }
  if (shell !== 'bash' && shell !== 'sh') throw new ShapeError('shell', `must be "bash" or "sh", not ${shown(shell)}`)
  refuseMore(more)
  if (!isObject(facts)) throw new ShapeError('facts', `must be an object, not ${nameOf(facts)}`)
  const entries = Object.entries(facts).map(([name, text]): [string, string] => {
    if (typeof text !== 'string') throw new ShapeError(`facts.${name}`, `must be a text, not ${nameOf(text)}`)
    return [oneLine(name, 100), oneLine(text, 500)]
  })
  if (entries.length > 50) throw new ShapeError('facts', 'more than 50 facts')
  return { facts: Object.fromEntries(entries), shell }
}

function asPrepareFailure(value: unknown): { reason: PrepareFailure; message: string } {
  const { reason, message, ...more } = toPlainObject(value, small)
  refuseMore(more)
  const known = prepareFailures.find((each) => each === reason)
  if (known === undefined) throw new ShapeError('failure.reason', `must be one of ${prepareFailures.join(', ')}`)
  if (typeof message !== 'string') throw new ShapeError('failure.message', `must be a text, not ${nameOf(message)}`)
  return { reason: known, message: oneLine(message, explanationLength) }
}

const prepareFailures = [
  'runner_system_failure',
  'image_pull_failure',
  'runner_configuration_error',
] as const satisfies PrepareFailure[]

/** What an executor's `run` gives. */
export function asRunResult(value: unknown): RunResult {
  const { exitCode, signal, ...more } = toPlainObject(value, small)
  refuseMore(more)
  if (
    exitCode !== null &&
    !(typeof exitCode === 'number' && Number.isInteger(exitCode) && Math.abs(exitCode) < 2 ** 32)
  ) {
    throw new ShapeError('exitCode', `must be a whole number or null, not ${shown(exitCode)}`)
  }
  if (signal !== null && !(typeof signal === 'string' && /^SIG[A-Z0-9+-]{1,16}$/.test(signal))) {
    throw new ShapeError('signal', `must be the name of a signal or null, not ${shown(signal)}`)
  }
  return { exitCode, signal }
}

const longestHoldS = 86_400

/** What an admission rule says. */
export function asAdmission(value: unknown): AdmissionVerdict {
  const { verdict, reason, seconds, ...more } = toPlainObject(value, small)
  refuseMore(more)
  if (verdict === 'admit') return { verdict }
  if (verdict !== 'refuse' && verdict !== 'hold') {
    throw new ShapeError('verdict', `must be "admit", "refuse" or "hold", not ${shown(verdict)}`)
  }
  if (typeof reason !== 'string' || reason.trim() === '') {
    throw new ShapeError('reason', `must be a sentence, not ${shown(reason)}`)
  }
  const sentence = oneLine(reason, explanationLength)
  if (verdict === 'refuse') return { verdict, reason: sentence }
  if (typeof seconds !== 'number' || !(seconds >= 1 && seconds <= longestHoldS)) {
    throw new ShapeError('seconds', `must be a number from 1 to ${longestHoldS}, not ${shown(seconds)}`)
  }
  return { verdict, reason: sentence, seconds }
}

/** For hooks that give nothing: whatever it is, nothing. */
export function asNothing(): undefined {
  return undefined
}

function refuseMore(more: Record<string, unknown>): void {
  const key = Object.keys(more)[0]
  if (key !== undefined) throw new ShapeError(oneLine(key, 80), 'is not a key of this answer')
}

function shown(value: unknown): string {
  try {
    return oneLine(JSON.stringify(toPlain(value, small)), 80)
  } catch {
    return nameOf(value)
  }
}
