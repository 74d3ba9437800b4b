import { describe, expect, it } from 'vitest'
import { attachment, headerValue, requestedRange } from '../../src/http/headers.js'
import { fromContentRange } from '../../src/shim/convert/content-range.js'

describe('attachment', () => {
  it.each([
    ['a.zip', `attachment; filename="a.zip"; filename*=UTF-8''a.zip`],
    ['a"b\\c.zip', `attachment; filename="a_b_c.zip"; filename*=UTF-8''a%22b%5Cc.zip`],
    ['ä(1).zip', `attachment; filename="_(1).zip"; filename*=UTF-8''%C3%A4%281%29.zip`],
    ['x\r\nSet-Cookie: y', `attachment; filename="x__Set-Cookie: y"; filename*=UTF-8''x%0D%0ASet-Cookie%3A%20y`],
  ])('names %s', (name, header) => {
    expect(attachment(name)).toBe(header)
    expect(headerValue(attachment(name))).toBe(header)
  })

  it('refuses values that Node would not send', () => {
    for (const value of ['a\r\nb', 'a\0', 'a\u0100']) expect(() => headerValue(value)).toThrow('header')
  })
})

describe('requestedRange', () => {
  it.each([
    [undefined, undefined],
    ['items=0-1', undefined],
    ['bytes=0-0', { start: 0, end: 0 }],
    ['bytes=5-', { start: 5, end: 9 }],
    ['bytes=-2', { start: 8, end: 9 }],
    ['bytes=-99', { start: 0, end: 9 }],
    ['bytes=0-99', { start: 0, end: 9 }],
  ])('reads %s of ten bytes', (header, range) => {
    expect(requestedRange(header, 10)).toEqual(range)
  })

  it.each([
    'bytes=10-',
    'bytes=-0',
    'bytes=3-2',
    'bytes=',
    'bytes=-',
    'bytes=0-1,2-3',
    'bytes= 0-1',
    `bytes=${'9'.repeat(20)}-`,
  ])('refuses %s', (header) => {
    expect(() => requestedRange(header, 10)).toThrow(
      expect.objectContaining({ code: 'range_mismatch', details: { size: 10 } }),
    )
  })
})

describe('fromContentRange', () => {
  it.each([
    ['0-13', 0],
    ['14-14', 14],
    ['14-13', 14],
    ['0--1', 0],
    ['5-9999999', 5],
  ])('takes the start of %s', (header, start) => {
    expect(fromContentRange(header)).toBe(start)
  })
})
