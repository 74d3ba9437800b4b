/** Every measurement of `npm run bench` still runs, each small: one that nobody has run since a change is worth nothing. */
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { isLong } from './support/long.js'
import { hasBrowser } from './web/browser.js'

const root = path.resolve(import.meta.dirname, '..')
const all = readdirSync(path.join(root, 'bench/cases')).map((file) => path.basename(file, '.mjs'))
/** Those of a few seconds; CI runs all before the suite (`.ci/run`). */
const quick = ['compile', 'claim', 'sim']
const cases = isLong ? all : quick

describe('a case of the bench', () => {
  test.each(cases)('%s runs, and prints figures', async (name) => {
    const { stdout } = await promisify(execFile)(process.execPath, ['bench/run.mjs', '--smoke', name], { cwd: root })
    const lines = stdout.trim().split('\n').filter(Boolean)
    // The page is measured where there is a browser.
    expect(lines.length > 0 || (name === 'page' && !hasBrowser)).toBe(true)
    for (const line of lines) {
      const { figure, ours } = JSON.parse(line)
      expect(figure).toEqual(expect.any(String))
      expect(ours.median).toBeGreaterThanOrEqual(0)
    }
  })
})
