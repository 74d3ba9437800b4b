import fc from 'fast-check'
import { expect, test } from 'vitest'
import * as yaml from 'yaml'
import type { CiConfig } from '../../../src/core/ci-config/compilation.js'
import { compileConfig } from '../../../src/core/ci-config/compile.js'
import { encodeDocument, mergedYaml } from '../../../src/core/ci-config/merged-yaml.js'
import type { Node } from '../../../src/core/ci-config/node.js'
import { fromPlain } from '../../../src/core/ci-config/plain.js'
import { readYaml } from '../../../src/core/ci-config/yaml/read.js'
import { tries } from './property.js'

function written(node: Node): string {
  return mergedYaml({ version: 1, stages: [], document: encodeDocument(node) })
}

async function merged(source: string, files: Record<string, string> = {}): Promise<string> {
  const result = await compileConfig(source, {
    fetchInclude: async (request) => ({ ok: true, content: (request.kind === 'local' && files[request.path]) || '' }),
  })
  if (!result.ok) throw new Error(JSON.stringify(result.errors))
  return mergedYaml(JSON.parse(JSON.stringify(result.config)) as CiConfig)
}

test('the merged file shows what includes, extends and references came to', async () => {
  const files = { 'a.yml': '.a: {image: a, variables: {V: 1.0, W: "1.0"}}\n.lines: [echo a, "echo: b"]\n' }
  const source = `include: a.yml
job:
  extends: .a
  script:
    - !reference [.lines]
    - |
      if true; then
        echo
      fi
  tags: []
  rules: [{if: $A == "b", when: never}, {when: always}]
`
  expect(await merged(source, files)).toBe(`---
.a:
  image: a
  variables:
    V: 1.0
    W: "1.0"
.lines:
- echo a
- "echo: b"
job:
  image: a
  variables:
    V: 1.0
    W: "1.0"
  extends: .a
  script:
  - - echo a
    - "echo: b"
  - |
    if true; then
      echo
    fi
  tags: []
  rules:
  - if: $A == "b"
    when: never
  - when: always
`)
})

test('compiling what was merged gives the same jobs', async () => {
  const source = 'a: {script: [[x], y], variables: {1: b, A: yes, B: 010}, parallel: {matrix: [{2: [a], 1: [b]}]}}\n'
  const options = { fetchInclude: async () => ({ ok: false as const, reason: '' }) }
  const first = await compileConfig(source, options)
  const second = await compileConfig(await merged(source), options)
  const jobsOf = (result: typeof first): unknown =>
    result.ok ? (result.config.jobs as { place: unknown }[]).map((job) => ({ ...job, place: undefined })) : result
  expect(jobsOf(second)).toEqual(jobsOf(first))
})

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: fc.constantFrom(...' \n\t:-#,[]{}\'"a1&*!|>%@`?~.'.split('')), maxLength: 12 }),
  fc.constantFrom(
    'yes',
    'null',
    '~',
    '010',
    '1.0',
    '1:30',
    '2024-01-31',
    '.inf',
    '<<',
    ':a',
    '- a',
    'a: b',
    'a #b',
    '\u0085',
    '\u2028x',
    '\x7f',
  ),
)
const value = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    text,
    fc.integer(),
    fc.double({ noNaN: true }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(text, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
})).value

test('whatever is written is read back as it was, here and by the yaml package', () => {
  fc.assert(
    fc.property(value, (data) => {
      fc.pre(!/__proto__|constructor|prototype|<</.test(JSON.stringify(data)))
      const node = fromPlain({ data }, 0)
      const out = written(node)
      const back = readYaml(out, 0)
      expect(back === undefined ? undefined : encodeDocument(back)).toEqual(encodeDocument(node))
      const document = yaml.parseDocument(out, {
        version: '1.1',
        schema: 'failsafe',
        uniqueKeys: false,
        logLevel: 'silent',
      })
      expect(document.errors).toEqual([])
    }),
    tries(1_000),
  )
})
