import { describe, expect, it } from 'vitest'
import { foldPairs, readPairs } from '../../src/http/form.js'
import { Params } from '../../src/http/params.js'

const fold = (text: string) => JSON.parse(JSON.stringify(foldPairs(readPairs(text))))

describe('foldPairs', () => {
  it.each([
    ['a=1&b=two+words&c=%C3%A4', { a: '1', b: 'two words', c: 'ä' }],
    ['a', { a: '' }],
    ['&&a=1&', { a: '1' }],
    ['a=b=c', { a: 'b=c' }],
    ['scope[]=x&scope[]=y', { scope: ['x', 'y'] }],
    ['info[name]=n&info[features][a]=true', { info: { name: 'n', features: { a: 'true' } } }],
    ['a=1&a=2', { a: ['1', '2'] }],
    ['v[][key]=A&v[][value]=b', { v: [{ key: 'A', value: 'b' }] }],
    [
      'v[][key]=A&v[][value]=b&v[][key]=C&v[][value]=d',
      {
        v: [
          { key: 'A', value: 'b' },
          { key: 'C', value: 'd' },
        ],
      },
    ],
    [
      'v[][key]=A&v[][key]=C&v[][value]=b&v[][value]=d',
      {
        v: [
          { key: 'A', value: 'b' },
          { key: 'C', value: 'd' },
        ],
      },
    ],
    [
      'v[][key]=A&v[][value]=b&v[][key]=C&v[][value]=d&v[][type]=file',
      {
        v: [
          { key: 'A', value: 'b' },
          { key: 'C', value: 'd', type: 'file' },
        ],
      },
    ],
    ['v%5B%5D%5Bkey%5D=A', { v: [{ key: 'A' }] }],
    ['v[0][key]=A&v[1][key]=B', { v: { 0: { key: 'A' }, 1: { key: 'B' } } }],
  ])('folds %s', (text, value) => {
    expect(fold(text)).toEqual(value)
  })

  it.each([
    ['a value and a list', 'a=1&a[]=2'],
    ['a value and a map', 'a=1&a[b]=2'],
    ['a list and a map', 'a[]=1&a[b]=2'],
    ['a depth of 6', 'a[b][c][d][e][f]=1'],
    ['lists in lists', 'a[][]=1'],
    ['__proto__', '__proto__[x]=1'],
    ['constructor inside', 'a[constructor]=1'],
    ['prototype in a list', 'a[][prototype]=1'],
    ['a bracket that does not close', 'a[b=1'],
    ['a bracket too many', 'a]b=1'],
    ['no name', '=1'],
    ['NUL', 'a=%00'],
    ['NUL in a name', 'a%00b=1'],
    ['escapes that are no UTF-8', 'a=%ff'],
    ['a percent sign alone', 'a=%'],
    ['1,001 pairs', 'a&'.repeat(1001)],
    ['a name of 2 KB', `${'a'.repeat(2000)}=1`],
  ])('refuses %s', (_, text) => {
    expect(() => fold(text)).toThrow(expect.objectContaining({ code: 'invalid' }))
  })

  it('cannot reach a prototype', () => {
    const map = foldPairs(readPairs('a[b]=1'))
    expect(Object.getPrototypeOf(map)).toBeNull()
    expect(Object.getPrototypeOf(map.a)).toBeNull()
    expect(({} as Record<string, unknown>).b).toBeUndefined()
  })
})

describe('Params', () => {
  const params = new Params(
    foldPairs(readPairs('n=12&neg=-3&yes=true&no=0&odd=maybe&t=text&l[]=a&l[]=b&c=a,+b&m[k]=v&v[0][k]=1&v[1][k]=2')),
  )
  it('converts what texts can mean', () => {
    expect(params.integer('n')).toBe(12)
    expect(params.integer('neg')).toBe(-3)
    expect(params.boolean('yes')).toBe(true)
    expect(params.boolean('no')).toBe(false)
    expect(params.texts('l')).toEqual(['a', 'b'])
    expect(params.texts('c', { commas: true })).toEqual(['a', 'b'])
    expect(params.map('m')?.text('k')).toBe('v')
    expect(params.maps('v')?.map((one) => one.integer('k'))).toEqual([1, 2])
    expect(params.choice('t', ['text', 'other'])).toBe('text')
    for (const none of [
      params.text('x'),
      params.integer('x'),
      params.boolean('x'),
      params.texts('x'),
      params.map('x'),
      params.maps('x'),
    ]) {
      expect(none).toBeUndefined()
    }
  })

  it.each([
    [() => params.integer('t'), 't is invalid'],
    [() => params.integer('n', { max: 11 }), 'n does not have a valid value'],
    [() => params.boolean('odd'), 'odd is invalid'],
    [() => params.text('l'), 'l is invalid'],
    [() => params.text('m'), 'm is invalid'],
    [() => params.text('t', { max: 3 }), 't is too long'],
    [() => params.requiredText('x'), 'x is missing'],
    [() => params.choice('t', ['a']), 't does not have a valid value'],
    [() => params.texts('m'), 'm is invalid'],
    [() => params.map('t'), 't is invalid'],
    [() => params.maps('l'), 'l is invalid'],
  ])('refuses the rest %#', (read, message) => {
    expect(read).toThrow(message)
  })
})
