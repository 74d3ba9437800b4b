import { expect, it } from 'vitest'
import { RecentMap } from '../../src/core/recent-map.js'

it('keeps what is asked for, and forgets the rest within its bound', () => {
  const map = new RecentMap<number, string>(100)
  map.set(-1, 'asked for')
  for (let key = 0; key < 1000; key++) {
    map.set(key, 'x')
    expect(map.get(-1)).toBe('asked for')
    expect(map.size).toBeLessThanOrEqual(100)
  }
  expect(map.get(999)).toBe('x')
  expect(map.get(0)).toBeUndefined()
  expect([...map.values()].filter((value) => value === 'asked for')).toHaveLength(1)
  map.delete(-1)
  expect(map.get(-1)).toBeUndefined()
})
