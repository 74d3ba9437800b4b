import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { statusByCode as apiStatus } from '../../src/api/errors.js'
import { errorCodes } from '../../src/core/errors.js'
import { statusByCode as shimStatus } from '../../src/shim/errors.js'

/** The rows of the table in `docs/errors.md`, by code. */
function documented(): Map<string, string[]> {
  const text = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
  const rows = [...text.matchAll(/^\| `([a-z_]+)`\s*\|(.*)\|$/gm)]
  return new Map(rows.map(([, code, cells]) => [code!, cells!.split('|').map((cell) => cell.trim())]))
}

it('documents every error code, and none that there is not', () => {
  expect([...documented().keys()]).toEqual([...errorCodes])
})

it('documents the statuses that are sent', () => {
  for (const [code, [, api, shim]] of documented()) {
    const key = code as (typeof errorCodes)[number]
    expect([code, Number(api)]).toEqual([code, apiStatus[key]])
    expect([code, Number.parseInt(shim!, 10)]).toEqual([code, shimStatus[key]])
  }
})
