import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

it('is where the table says', () => {
  const rows = [...readFileSync('test/bad-input.md', 'utf8').matchAll(/^\| .* \| `([^`]+)` +\| (.*?) *\|$/gm)]
  expect(rows.length).toBeGreaterThan(50)
  const missing = rows.filter(([, file, phrase]) => !readFileSync(`test/${file}`, 'utf8').includes(phrase!))
  expect(missing.map(([, file, phrase]) => `${file}: ${phrase}`)).toEqual([])
})
