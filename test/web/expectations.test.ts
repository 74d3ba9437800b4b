import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

it('is shown by the tests that the table says', () => {
  const rows = [...readFileSync('test/web/expectations.md', 'utf8').matchAll(/^\| .* \| `([^`]+)` \| (.*?) *\|$/gm)]
  expect(rows).toHaveLength(18)
  const missing = rows.filter(([, file, phrase]) => !readFileSync(`test/${file}`, 'utf8').includes(phrase!))
  expect(missing.map(([, file, phrase]) => `${file}: ${phrase}`)).toEqual([])
})
