import { describe, expect, test } from 'vitest'
import type { CompileOptions, CompileResult } from '../../../src/core/ci-config/compilation.js'
import { compileConfig } from '../../../src/core/ci-config/compile.js'
import { planPipeline } from '../../../src/core/ci-config/plan-pipeline.js'
import { push } from './events.js'

const options: CompileOptions = { fetchInclude: async () => ({ ok: false, reason: 'does not exist' }) }
const job = 'job: {script: x}\n'

/** No file may take longer, on however busy a machine; most take milliseconds. */
const atMostMs = 10_000

async function compile(source: string): Promise<CompileResult> {
  const start = performance.now()
  const result = await compileConfig(source, options)
  expect(performance.now() - start).toBeLessThan(atMostMs)
  if (!result.ok) {
    for (const error of result.errors) {
      expect(error.line).toBeGreaterThan(0)
      expect(error.column).toBeGreaterThan(0)
    }
  }
  return result
}

async function refused(source: string): Promise<string> {
  const result = await compile(source)
  expect(result.ok).toBe(false)
  return result.ok ? '' : result.errors.map(({ message, line, column }) => `${line}:${column} ${message}`).join('\n')
}

const repeat = (count: number, write: (index: number) => string, joint = '\n'): string =>
  Array.from({ length: count }, (_, index) => write(index)).join(joint)

describe('bombs', () => {
  test('aliases, nine of nine', async () => {
    const levels = repeat(8, (level) => `.b${level + 1}: &b${level + 1} [${Array(9).fill(`*b${level}`).join()}]`)
    expect(await refused(`.b0: &b0 [x,x,x,x,x,x,x,x,x]\n${levels}\n${job}`)).toContain(
      'more than 500000 values once aliases',
    )
  })

  test('long texts through aliases', async () => {
    const source = `.t: &t ${'x'.repeat(100_000)}\n.l: &l [${Array(200).fill('*t').join()}]\n${job}`
    expect(await refused(source)).toContain('characters once aliases')
  })

  test('a chain of 10,000 merge keys', async () => {
    const chain = repeat(10_000, (index) => `.m${index + 1}: &m${index + 1} {<<: *m${index}, k${index}: v}`)
    expect(await refused(`.m0: &m0 {a: b}\n${chain}\n${job}`)).toMatch(/merge keys bring|more than 500000/)
  })

  test('5,000 brackets', async () => {
    expect(await refused(`a: ${'['.repeat(5_000)}`)).toContain('nested deeper than 100 levels')
    expect(await refused(`a: ${'{a: '.repeat(5_000)}`)).toContain('nested deeper than 100 levels')
    expect(await refused('- '.repeat(5_000))).toContain('nested deeper than 100 levels')
    expect(await refused(repeat(1_900, (level) => `${' '.repeat(level)}a:`))).toContain('nested deeper than 100 levels')
    expect(await refused(`${'? '.repeat(5_000)}`)).toContain('nested deeper than 100 levels')
    expect(await refused('&a '.repeat(100_000))).toContain('unexpected')
    expect(await refused(`a: ${'&a\n '.repeat(5_000)}`)).not.toBe('')
  })

  test('references and extends', async () => {
    const references = repeat(30, (level) => `.r${level + 1}: [!reference [.r${level}], !reference [.r${level}]]`)
    expect(await refused(`.r0: [x, x]\n${references}\n${job}`)).toContain('more than 500000 values')
    const chain = repeat(30_000, (index) => `.c${index}: !reference [.c${index + 1}]`)
    expect(await refused(`${chain}\n.c30000: x\n${job}`)).toMatch(/nested too deep|could not be found|blank/)
    const long = repeat(20, (index) => `.e${index}: {extends: .e${index + 1}}`)
    expect(await refused(`${long}\n.e20: {a: b}\n${job}`)).toContain('extends is nested too deep')
    const wide = repeat(2_000, (index) => `k${index}: v`, ', ')
    const many = `.base: {${wide}}\njob: {script: x, extends: [${Array(20_000).fill('.base').join()}]}\n`
    expect(await refused(many)).not.toBe('')
    const crossed = `.a: {variables: {${wide}}}\n.b: {variables: {${wide}}}\n${repeat(3_000, (index) => `j${index}: {script: x, extends: [.a, .b]}`)}\n`
    expect(await refused(crossed)).toMatch(/too many steps|more than 500000/)
  })

  test('jobs, matrices and rules', async () => {
    expect(await refused(`job: {script: x, parallel: 1000000}\n`)).toContain('from 1 to 200')
    const values = `[${repeat(100, String, ',')}]`
    expect(
      await refused(
        `job: {script: x, parallel: {matrix: [{${repeat(50, (index) => `V${index}: ${values}`, ', ')}}]}}\n`,
      ),
    ).toContain('more than 200 jobs')
    expect(await refused(`${repeat(60, (index) => `j${index}: {script: x, parallel: 200}`)}\n`)).toContain(
      'more than 10000 jobs',
    )
    expect(await refused(`job: {script: x, rules: [${repeat(10_000, () => '{if: $A}', ',')}]}\n`)).toContain(
      '1000 at most',
    )
    const rules = `rules: [${repeat(900, () => '{if: $A}', ',')}]`
    expect(await refused(`${repeat(3, (index) => `j${index}: {script: x, parallel: 100, ${rules}}`)}\n`)).toContain(
      'more than 200000 rules',
    )
    expect(await refused(`${repeat(20_000, (index) => `job${index}: {}`)}\n`)).toContain('should implement')
  })

  test('texts that grow', async () => {
    const variables = repeat(60, (index) => `V${index + 1}: "\${V${index}}\${V${index}}x"`, ', ')
    const result = await compile(
      `variables: {V0: x, ${variables}}\nworkflow: {name: $V60}\njob: {script: x, tags: [$V60], environment: "a$V60", rules: [{exists: ["$V60"]}]}\n`,
    )
    expect(result.ok).toBe(true)
    const start = performance.now()
    if (result.ok) planPipeline(result.config, push('x', { files: ['a'] }))
    expect(performance.now() - start).toBeLessThan(atMostMs)
  })
})

describe('regular expressions', () => {
  test.each(['(?:x{1000}){1000}', '(?=a)b', '(?<=a)b', `${'x'.repeat(2_000)}`, '(((((a{30}){30}){30}){30}){30}){30}'])(
    '%s is refused',
    async (pattern) => {
      expect(await refused(`job: {script: x, rules: [{if: '$A =~ /${pattern}/'}]}\n`)).toMatch(
        /not an RE2 expression|invalid expression/,
      )
    },
  )

  test('(a+)+$ takes linear time', async () => {
    const result = await compile("job: {script: x, rules: [{if: '$A =~ /(a+)+$/'}]}\nkeep: {script: x}\n")
    const start = performance.now()
    if (result.ok) planPipeline(result.config, push('x', { variables: { A: `${'a'.repeat(60_000)}!` } }))
    expect(performance.now() - start).toBeLessThan(atMostMs)
    expect(result.ok).toBe(true)
  })
})

describe('sizes and encodings', () => {
  test('2 MiB are read, one byte more is not', async () => {
    const fill = (bytes: number): string => `${job}# ${'x'.repeat(bytes - job.length - 2)}`
    expect((await compile(fill(2 ** 21))).ok).toBe(true)
    expect(await refused(fill(2 ** 21 + 1))).toContain('larger than 2097152 bytes')
    expect(await refused(`${job}# ${'é'.repeat(2 ** 20)}`)).toContain('larger than')
  })

  test.each(
    [
      ['', '1:1 .gitlab-ci.yml is empty'],
      [' \n# nothing\n', '1:1 .gitlab-ci.yml is empty'],
      ['a\0b: c', '1:2 .gitlab-ci.yml holds the control character U+0000'],
      ['j\0o\0b\0', 'is the file UTF-16? Save it as UTF-8'],
      ['a: "\x07"', '1:5 .gitlab-ci.yml holds the control character U+0007'],
      ['a: \ud800', '1:4 .gitlab-ci.yml is not valid Unicode here'],
      ['a:\n\tb: c', '2:1 a tab is used for indentation'],
      ['\tjob: {script: x}', '1:1 a tab is used for indentation'],
      ['- a', 'must be valid YAML that holds a map'],
      ['text', 'must be valid YAML that holds a map'],
      ['!!js/function "x": y', 'tag "!!js/function" is not permitted'],
      [`a: !!binary ${'A'.repeat(1_000_000)}`, 'tag "!!binary" is not permitted'],
      [`a: !!omap [${Array(50_000).fill('a: b').join()}]`, 'tag "!!omap" is not permitted'],
      ['a: !!python/object/apply:os.system [x]', 'is not permitted'],
    ].map(([source = '', says = '']) => [source.slice(0, 40), source, says]),
  )('%j', async (_, source, says) => {
    expect(await refused(source)).toContain(says)
  })

  test('a byte order mark and other line ends change nothing but keep lines right', async () => {
    expect((await compile(`\ufeff${job}`)).ok).toBe(true)
    expect(await compile('a:\r\n  script: x\r\n  when: y\r\n')).toMatchObject({
      ok: false,
      errors: [{ line: 3, column: 9 }],
    })
    expect(await compile('a:\r  script: x\r  when: y\r')).toMatchObject({ ok: false, errors: [{ line: 3, column: 9 }] })
  })
})

describe('names', () => {
  test.each(['__proto__', 'constructor', 'prototype'])(
    '%s is refused as job, variable, input and in maps below',
    async (name) => {
      for (const source of [
        `${name}: {script: x}\n`,
        `variables: {${name}: x}\n${job}`,
        `job: {script: x, variables: {${name}: x}}\n`,
        `job: {script: x, parallel: {matrix: [{${name}: x}]}}\n`,
        `spec: {inputs: {${name}: }}\n---\n${job}`,
        `.a: {b: [{${name}: x}]}\n${job}`,
      ]) {
        expect(await refused(source)).toContain('may not be used as a key')
      }
    },
  )

  test('other names of Object.prototype are names like any other', async () => {
    const names = ['toString', 'valueOf', 'hasOwnProperty', 'isPrototypeOf', '__defineGetter__', '__lookupSetter__']
    const result = await compile(
      `variables: {${names.map((name) => `${name}: v`).join(', ')}}\n${names
        .map((name) => `${name}: {script: x, variables: {${name}: "$${name}"}, rules: [{if: $${name} == "$${name}"}]}`)
        .join('\n')}\nlast: {script: x, needs: [${names.join()}], dependencies: [${names.join()}]}\n`,
    )
    if (!result.ok) throw new Error(JSON.stringify(result.errors))
    const planned = planPipeline(result.config, push('x'))
    expect(planned.ok && planned.plan.jobs.map((one) => one.name)).toEqual([...names, 'last'])
    expect(await refused('job: {script: x, toString: y}\n')).toContain('unknown keys: toString')
    expect(await refused('job: {script: x, rules: [{if: $a, toString: y}]}\n')).toContain('unknown keys: toString')
  })
})

test('keys that are no texts are read as the original reads them', async () => {
  expect(await refused('true: {script: x}\n')).toContain('the job name true must be a string')
  expect(await refused('on: {script: x}\n')).toContain('the job name true must be a string')
  expect(await refused('123: {script: x}\n')).toContain('the job name 123 must be a string')
})
