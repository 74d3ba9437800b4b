import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { CompileOptions } from '../../../src/core/ci-config/compilation.js'
import { compileConfig } from '../../../src/core/ci-config/compile.js'
import { expandVariables, forRunner } from '../../../src/core/ci-config/expand.js'
import { factsWanted } from '../../../src/core/ci-config/facts-wanted.js'
import { mergedYaml } from '../../../src/core/ci-config/merged-yaml.js'
import { planPipeline } from '../../../src/core/ci-config/plan-pipeline.js'
import { mergeRequest, push } from './events.js'

/**
 * Real files with characters, words and lines lost, doubled, swapped and put in. Whatever comes of it, compiling answers
 * with a configuration or with located errors, planning with a plan or errors, and neither throws or takes long.
 */
const isLong = process.env.SIGNALBOX_TEST_LONG === '1'
const mutations = isLong ? 100_000 : 1_500

const fixtures = fileURLToPath(new URL('./fixtures/', import.meta.url))
const corpus = fileURLToPath(new URL('../../../../shared/corpus/', import.meta.url))

function seeds(): string[] {
  const own = readdirSync(fixtures).map((file) => readFileSync(join(fixtures, file), 'utf8'))
  if (!existsSync(corpus)) return own
  const others = readdirSync(corpus, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.yml'))
  return [...own, ...others.toSorted().map((file) => readFileSync(join(corpus, file), 'utf8'))]
}

/** Pieces that files are made of, and that readers trip over. */
const snippets = [
  ...' \n\t:-#,[]{}\'"&*!|>%@`?~$\\/.\0\r\u2028\ufeff'.split(''),
  ...[
    '<<: *a',
    '&a ',
    '*a',
    '!reference [',
    '!!binary ',
    '$[[ inputs.a ]]',
    '$[[ matrix.',
    '---\n',
    '...\n',
    '? ',
    ': ',
    '- ',
  ],
  ...[
    'script: x',
    'rules:',
    'extends: [a, b]',
    'needs: [',
    'parallel: 200',
    'include: a.yml',
    'spec:',
    'trigger: a/b',
    'default:',
  ],
  ...['null', 'yes', '1:30', '2024-01-31', '.inf', '1e3', '999999999999999999999', '-1', '""', '[]', '{}', '__proto__'],
]

const edit = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.nat(12),
  kind: fc.constantFrom('delete', 'insert', 'double', 'line', 'swap', 'indent'),
  snippet: fc.constantFrom(...snippets),
})

type Edit = typeof edit extends fc.Arbitrary<infer T> ? T : never

function apply(text: string, { at, length, kind, snippet }: Edit): string {
  const pos = Math.floor(at * text.length)
  const [before, part, after] = [text.slice(0, pos), text.slice(pos, pos + length), text.slice(pos + length)]
  switch (kind) {
    case 'delete':
      return before + after
    case 'insert':
      return before + snippet + part + after
    case 'double':
      return before + part + part + after
    case 'line': {
      const lineEnd = text.indexOf('\n', pos) + 1
      return text.slice(0, lineEnd) + text.slice(lineEnd, lineEnd + 40) + text.slice(lineEnd)
    }
    case 'swap':
      return before + after.slice(0, length) + part + after.slice(length)
    case 'indent': {
      const lineStart = text.lastIndexOf('\n', pos) + 1
      return `${text.slice(0, lineStart)}${' '.repeat(length)}${text.slice(lineStart)}`
    }
  }
}

test(`${mutations} mutations of real files compile, or are refused with a place`, { timeout: 1_800_000 }, async () => {
  const texts = seeds()
  const mutated = fc
    .tuple(fc.nat(texts.length - 1), fc.array(edit, { minLength: 1, maxLength: 6 }))
    .map(([seed, edits]) => edits.reduce(apply, texts[seed] ?? ''))
  const options: CompileOptions = {
    fetchInclude: async (request) =>
      request.kind === 'local'
        ? { ok: true, content: texts[request.path.length % texts.length] ?? '' }
        : { ok: false, reason: 'no' },
    listFiles: async () => ['a.yml', 'b.yml'],
    variables: [{ key: 'A', value: 'a' }],
    maxIncludes: 20,
  }
  let slowest = 0
  await fc.assert(
    fc.asyncProperty(mutated, async (text) => {
      const start = performance.now()
      const result = await compileConfig(text, options)
      if (result.ok) {
        for (const context of [push('main', { files: ['a'] }), mergeRequest('x')]) {
          factsWanted(result.config, context)
          const planned = planPipeline(result.config, context)
          if (planned.ok) for (const job of planned.plan.jobs) expandVariables(job.variables, forRunner)
          else expect(planned.errors.length).toBeGreaterThan(0)
        }
        mergedYaml(result.config)
      } else {
        expect(result.errors.length).toBeGreaterThan(0)
        for (const error of result.errors) {
          expect(error.message).not.toBe('')
          expect(error.line).toBeGreaterThan(0)
          expect(error.column).toBeGreaterThan(0)
        }
      }
      slowest = Math.max(slowest, performance.now() - start)
    }),
    isLong ? { numRuns: mutations } : { numRuns: mutations, seed: 42 },
  )
  expect(slowest).toBeLessThan(5_000)
})
