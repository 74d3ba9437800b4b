/** Shapes of configuration: what they take, what they give, and how a fault is located. */
import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import { checkDefinition, configOf } from '../../src/plugins/definition.js'
import { type Configured, definePlugin, type PluginDefinition, schema } from '../../src/plugins/sdk.js'

/** What a plugin with this `config` is set up with, by the host's own reading. */
function read(config: unknown, given: unknown): unknown {
  const plugin = { id: 'classifier.some', apiVersion: 1, config, setup: () => undefined } as PluginDefinition<unknown>
  return configOf(checkDefinition(definePlugin(plugin)).definition, given)
}

const rules = schema.table({
  url: schema.text({ pattern: /^https:/, hint: 'an address with https' }),
  level: schema.whole({ min: 1, max: 19, default: 10 }),
  share: schema.number({ min: 0, max: 1, default: 0.5 }),
  loud: schema.flag({ default: false }),
  how: schema.choice(['fast', 'well'], { default: 'well' }),
  words: schema.list(schema.text(), { max: 2, default: [] }),
  limits: schema.map(schema.whole({ min: 0 }), { default: {} }),
  note: schema.optional(schema.text()),
})

describe('a schema of ours', () => {
  it('fills in what is missing, and gives the rest as it is', () => {
    expect(read(rules, { url: 'https://x', limits: { 'acme/app': 4 } })).toEqual({
      url: 'https://x',
      level: 10,
      share: 0.5,
      loud: false,
      how: 'well',
      words: [],
      limits: { 'acme/app': 4 },
      note: undefined,
    })
    expectTypeOf<Configured<typeof rules>>().toMatchObjectType<{
      url: string
      level: number
      loud: boolean
      how: 'fast' | 'well'
      words: string[]
      limits: Record<string, number>
      note: string | undefined
    }>()
  })

  it.each([
    [{}, '"url": must be an address with https'],
    [{ url: 'http://x' }, '"url": must be an address with https'],
    [{ url: 'https://x', level: 20 }, '"level": must be a whole number from 1 to 19'],
    [{ url: 'https://x', level: 1.5 }, '"level": must be a whole number from 1 to 19'],
    [{ url: 'https://x', share: '1' }, '"share": must be a number from 0 to 1'],
    [{ url: 'https://x', loud: 1 }, '"loud": must be true or false'],
    [{ url: 'https://x', how: 'badly' }, '"how": must be one of fast, well'],
    [{ url: 'https://x', words: ['a', ''] }, '"words.1": must be a text'],
    [{ url: 'https://x', words: ['a', 'b', 'c'] }, '"words": must have at most 2'],
    [{ url: 'https://x', limits: { 'acme/app': 'x' } }, '"limits.acme/app": must be a whole number of at least 0'],
    [{ url: 'https://x', ulr: 1, leve: 2 }, '"ulr": unknown key; "leve": unknown key'],
    [{ url: 'https://x', constructor: 1 }, '"constructor": unknown key'],
  ])('refuses %j', (given, message) => {
    expect(() => read(rules, given)).toThrow(`plugin classifier.some: config key ${message}`)
  })

  it('keeps a default its own', () => {
    const first = read(rules, { url: 'https://x' }) as Configured<typeof rules>
    first.words.push('changed')
    expect(read(rules, { url: 'https://x' })).toMatchObject({ words: [] })
  })
})

describe('a schema of another library', () => {
  it('is asked in the same way', () => {
    const of = z.strictObject({ patterns: z.array(z.object({ contains: z.string() })) })
    expect(read(of, { patterns: [{ contains: 'x' }] })).toEqual({ patterns: [{ contains: 'x' }] })
    expect(() => read(of, { patterns: [{}] })).toThrow('config key "patterns.0.contains": Invalid input')
    expect(() => read(of, { patterns: [], more: 1 })).toThrow('Unrecognized key: "more"')
  })

  it('must answer at once', () => {
    const later = { '~standard': { version: 1, vendor: 'late', validate: async () => ({ value: {} }) } }
    expect(() => read(later, {})).toThrow('plugin classifier.some: config: the schema of config must answer at once')
    expect(() => read(schema.table({ a: later as never }), { a: 1 })).toThrow('does not answer at once')
  })
})
