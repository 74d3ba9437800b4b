import { describe, expect, test } from 'vitest'
import { compileConfig } from '../../../src/core/ci-config/compile.js'
import type { CompiledConfig } from '../../../src/core/ci-config/config.js'

/**
 * What lists inside lists, null and an absent value come to, as GitLab's entry classes have it
 * (lib/gitlab/config/entry/{composable_array,composable_hash,simplifiable}.rb, lib/gitlab/ci/config/entry).
 */

async function compiled(source: string): Promise<CompiledConfig> {
  const result = await compileConfig(source, { fetchInclude: async () => ({ ok: false, reason: 'does not exist' }) })
  if (!result.ok) throw new Error(JSON.stringify(result.errors, null, 1))
  return result.config as CompiledConfig
}

const base = `
.base:
  needs: [a, {job: b, artifacts: false}]
  services: [postgres:16, {name: redis:7}]
  cache: {key: x, paths: [x/]}
  caches: [{key: y}, [{key: z}]]
  script: [one, [two]]
  rules: [{if: $A}, [{if: $B}]]
  trigger: [a.yml, [b.yml]]
a: {stage: build, script: x}
b: {stage: build, script: x}
c: {stage: build, script: x}
`

async function job(body: string): Promise<CompiledConfig['jobs'][number] | undefined> {
  const config = await compiled(`${base}job: {${body}}\n`)
  return config.jobs.find(({ name }) => name === 'job')
}

describe('lists inside lists', () => {
  test('are flattened in needs, also of rules', async () => {
    const names = [
      { job: 'a', artifacts: true, optional: false },
      { job: 'b', artifacts: false, optional: false },
      { job: 'c', artifacts: true, optional: false },
    ]
    expect((await job('script: x, needs: [!reference [.base, needs], c]'))?.needs).toEqual(names)
    const ruled = await job('script: x, rules: [{needs: [[[!reference [.base, needs]]], c]}]')
    expect(ruled?.rules?.[0]?.needs).toEqual(names)
    expect((await job('script: x, needs: [[]]'))?.needs).toEqual([])
  })

  test('are flattened in services, and as deep as anybody writes them', async () => {
    const one = await job(`script: x, services: [!reference [.base, services], ${'['.repeat(12)}d${']'.repeat(12)}]`)
    expect(one?.plan.services).toEqual([{ name: 'postgres:16' }, { name: 'redis:7' }, { name: 'd' }])
  })

  test('are flattened in cache, of which four may stand in the list itself', async () => {
    const one = await job(
      'script: x, cache: [!reference [.base, caches], !reference [.base, cache], [{key: k}, {key: l}]]',
    )
    expect(one?.plan.caches?.map(({ key }) => key)).toEqual(['y', 'z', 'x', 'k', 'l'])
  })

  test('are flattened in scripts and rules', async () => {
    const one = await job('script: [!reference [.base, script], three], rules: [!reference [.base, rules], {if: $C}]')
    expect(one?.plan.script).toEqual(['one', 'two', 'three'])
    expect(one?.rules?.map((rule) => rule.if?.source)).toEqual(['$A', '$B', '$C'])
  })

  test('are flattened in trigger:include and ports', async () => {
    const child = await job('trigger: {include: [!reference [.base, trigger], {local: c.yml}]}')
    expect(child?.plan.trigger).toMatchObject({ include: ['a.yml', 'b.yml', { local: 'c.yml' }] })
    expect(await job('script: x, image: {name: a, ports: [80, [[81], {number: 82, name: web}]]}')).toBeDefined()
  })

  test.each(['tags', 'dependencies', 'only', 'extends', 'retry:when'])('are refused in %s', async (keyword) => {
    const [outer = '', inner] = keyword.split(':')
    const body = inner === undefined ? `${outer}: [[a]]` : `${outer}: {${inner}: [[always]]}`
    await expect(job(`script: x, ${body}`)).rejects.toThrow('list')
  })
})

describe('null', () => {
  test('is the empty text as the value of a variable', async () => {
    const config = await compiled(
      'variables: {G: , H: {value: }, I: {}}\njob: {script: x, variables: {A: null, B: {}}}',
    )
    expect(config.variables).toEqual(['G', 'H', 'I'].map((key) => ({ key, value: '' })))
    expect(config.jobs[0]?.variables).toEqual(['A', 'B'].map((key) => ({ key, value: '' })))
  })

  test('gives no paths to exists, and false stays a value', async () => {
    const one = await job('script: x, variables: {A: false}, rules: [{exists: {paths: null, project: g/p}}]')
    expect(one?.rules?.[0]?.exists).toEqual({ paths: [], project: 'g/p' })
    expect(one?.variables).toEqual([{ key: 'A', value: 'false' }])
  })
})

test('exists looks into another project by paths or by regexp', async () => {
  expect(await job('script: x, rules: [{exists: {project: g/p, regexp: a+}}]')).toBeDefined()
  expect(await job('script: x, rules: [{exists: {project: g/p, ref: main, paths: [a]}}]')).toBeDefined()
})

test('a job that stops an environment may say when it stops by itself, which means nothing', async () => {
  const stops = await job('script: x, environment: {name: e, action: stop, auto_stop_in: 1 hour}')
  expect(stops?.plan.environment).toEqual({ name: 'e', action: 'stop' })
  const starts = await job('script: x, environment: {name: e, auto_stop_in: 1 hour}')
  expect(starts?.plan.environment).toMatchObject({ autoStopIn: '1 hour' })
})

test('an input whose rules could give a default is not required where none holds', async () => {
  const source = (rule: string) => `
spec:
  inputs:
    kind: {default: usual, options: [usual, other]}
    tag: {rules: [${rule}]}
---
job: {script: "echo [$[[ inputs.tag ]]]"}
`
  const given = await compiled(source(`{if: '$[[ inputs.kind ]] == "other"', default: ""}`))
  expect(given.jobs[0]?.plan.script).toEqual(['echo []'])
  await expect(compiled(source(`{if: '$[[ inputs.kind ]] == "other"', options: [a]}`))).rejects.toThrow(
    'required value',
  )
})
