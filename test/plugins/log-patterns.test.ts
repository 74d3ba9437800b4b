/**
 * The built-in log patterns on a corpus of log tails, written for this test after what the programs print, with what each is
 * to be taken for. `none`: no rule may be sure. The figures are printed; each class has its bound.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Evidence } from '../../src/core/evidence.js'
import { asVerdict } from '../../src/plugins/answers.js'
import { defaultChain, isSure } from '../../src/plugins/chain.js'
import { judgeLog } from '../../src/plugins/classifiers/log-patterns/index.js'
import { logRules } from '../../src/plugins/classifiers/log-patterns/rules.js'
import { evidence } from './support/plugins.js'

interface Tail {
  label: string
  title: string
  evidence: Evidence
}

const folder = path.resolve('test/plugins/corpus')

/** `### LABEL EXIT-CODE TITLE`, or for what the runner reports itself `### LABEL - TITLE | REASON | MESSAGE`; then the lines. */
function readCorpus(files: readonly string[]): Tail[] {
  return files.flatMap((file) =>
    readFileSync(path.join(folder, file), 'utf8')
      .split(/^### /m)
      .slice(1)
      .map((entry): Tail => {
        const [head = '', ...lines] = entry.split('\n')
        const [about = '', runnerReason = 'script_failure', message = ''] = head.split(' | ')
        const [label = '', code = '', ...title] = about.split(' ')
        const exitCode = code === '-' ? null : Number(code)
        const given = { runnerReason, message, exitCode, traceTail: lines.join('\n') }
        return { label, title: `${label} ${title.join(' ')}`, evidence: { ...evidence, ...given } }
      }),
  )
}

/** Written when the rules were done, and never used to make them better: what they are worth on logs of others. */
const unseenFile = 'unseen.txt'
const corpus = readCorpus(readdirSync(folder).filter((file) => file !== unseenFile))
const labels = [...logRules.map(({ id }) => id), 'none']

/** What the tail is taken for. */
function takenFor(given: Evidence): string {
  const verdict = judgeLog(given)
  if (!verdict || !isSure(verdict, defaultChain)) return 'none'
  expect(asVerdict(verdict)).toEqual(verdict)
  return verdict.rule!
}

/** The same log as a runner writes it: sections, colours, noise before, and what comes after the script. */
function asRunnerWrites(tail: string): string {
  const noise = Array.from(
    { length: 150 },
    (_, i) => `Get:${i} http://deb.example/debian bookworm/main amd64 lib${i} [${i} kB]`,
  )
  const lines = tail.split('\n').map((line) => (line.startsWith('$ ') ? `\u001b[32;1m${line}\u001b[0;m` : line))
  return [
    'Running with gitlab-runner 18.0.0',
    'section_start:1:get_sources\r\u001b[0KGetting source from Git repository',
    'section_end:2:get_sources\r\u001b[0K',
    'section_start:2:step_script\r\u001b[0KExecuting "step_script" stage of the job script',
    '\u001b[32;1m$ apt-get install -y things\u001b[0;m',
    ...noise,
    'npm warn deprecated something: connection refused is not what it was',
    ...lines,
    'section_end:3:step_script\r\u001b[0K',
    'section_start:3:after_script\r\u001b[0KRunning after_script',
    '\u001b[32;1m$ rm -rf /tmp/x || true\u001b[0;m',
    "rm: cannot remove '/tmp/x': Permission denied",
    'section_end:4:after_script\r\u001b[0K',
    'Cleaning up project directory and file based variables',
    '\u001b[31;1mERROR: Job failed: exit code 1\u001b[0;m',
  ].join('\n')
}

function measure(take: (given: Evidence) => string) {
  const results = corpus.map((tail) => ({ ...tail, taken: take(tail.evidence) }))
  const wrong = results.filter(({ label, taken }) => label !== taken)
  const figures = labels.map((label) => {
    const right = results.filter((one) => one.label === label && one.taken === label).length
    const all = results.filter((one) => one.label === label).length
    const taken = results.filter((one) => one.taken === label).length
    return { label, tails: all, precision: taken === 0 ? 1 : right / taken, recall: right / all }
  })
  return { figures, wrong: wrong.map(({ title, taken }) => `${title}: taken for ${taken}`) }
}

it('has at least 200 tails, and some of each class', () => {
  expect(corpus.length).toBeGreaterThanOrEqual(200)
  expect([...new Set(corpus.map(({ label }) => label))].sort()).toEqual([...labels].sort())
  for (const { evidence: one } of corpus) expect(one.exitCode ?? 1).not.toBeNaN()
})

describe.each([
  ['the end of a log alone', takenFor],
  ['whole logs', (given: Evidence) => takenFor({ ...given, traceTail: asRunnerWrites(given.traceTail) })],
] as const)('%s', (_, take) => {
  it('are taken for what they are', () => {
    const { figures, wrong } = measure(take)
    const percent = (part: number) => `${(part * 100).toFixed(0)} %`.padStart(6)
    console.log(
      [
        `class            tails  precision recall   (${corpus.length} tails, ${wrong.length} wrong)`,
        ...figures.map(
          (one) =>
            `${one.label.padEnd(16)} ${String(one.tails).padStart(5)}  ${percent(one.precision)}   ${percent(one.recall)}`,
        ),
        ...wrong,
      ].join('\n'),
    )
    for (const { label, precision, recall } of figures) {
      expect(precision, `precision of ${label}`).toBeGreaterThanOrEqual(0.9)
      expect(recall, `recall of ${label}`).toBeGreaterThanOrEqual(0.9)
    }
  })
})

it('are seldom taken for what they are not, where no rule was made for them', () => {
  const results = readCorpus([unseenFile]).map(({ label, title, evidence: given }) => ({
    label,
    title,
    taken: takenFor(given),
  }))
  const sure = results.filter(({ taken }) => taken !== 'none')
  const right = sure.filter(({ label, taken }) => label === taken).length
  const [precision, recall] = [right / sure.length, right / results.filter(({ label }) => label !== 'none').length]
  console.log(`unseen: ${results.length} tails, precision ${precision.toFixed(2)}, recall ${recall.toFixed(2)}`)
  expect(precision).toBeGreaterThanOrEqual(0.9)
  expect(recall).toBeGreaterThanOrEqual(0.5)
})

/** Milliseconds of processor time: what another process takes meanwhile does not count. */
function costOf(tails: readonly string[]): number {
  const before = process.cpuUsage()
  for (const traceTail of tails) judgeLog({ ...evidence, exitCode: 1, traceTail })
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

describe('whatever a log holds', () => {
  const words = logRules.flatMap((rule) => rule.words)

  it('has no expression that could take long for a line', () => {
    for (const { id, match, words: own } of logRules) {
      expect(match.source, `${id}: a repetition within another`).not.toMatch(/[+*}]\)[+*{]/)
      expect(match.global || match.sticky, `${id} keeps a place`).toBe(false)
      for (const word of own) expect(word, `${id}: ${word}`).toMatch(/^[^A-Z]{4,}$/)
    }
  })

  it('takes time in proportion to its length', () => {
    const tails = words.map((word) => `${`${word} `.repeat(400).slice(0, 399)}\n`.repeat(164))
    costOf(tails)
    const whole = costOf(tails)
    const half = costOf(tails.map((tail) => tail.slice(0, tail.length / 2)))
    console.log(
      `64 KiB of a rule's own words: ${(whole / tails.length).toFixed(1)} ms; half of it: ${(half / tails.length).toFixed(1)} ms`,
    )
    expect(whole / half).toBeLessThan(3.5)
  }, 60_000)

  it.each([
    ['without an end of line', 'x'.repeat(64 * 1024)],
    ['of empty lines', '\n'.repeat(64 * 1024)],
    ['of letters that grow in lower case', '\u0130killed by signal 9\n'.repeat(2000)],
    ['cut in the middle of a letter', Buffer.from('\u00e4'.repeat(2000)).subarray(1).toString('utf8')],
  ])('takes a log %s', (_, traceTail) => {
    expect(() => judgeLog({ ...evidence, exitCode: 1, traceTail })).not.toThrow()
  })
})
