// Runs vitest and ends with one line that counts every test: `N passed, N failed` (`, N skipped` when any).
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

const long = process.argv.includes('--long')
const rest = process.argv.slice(2).filter((arg) => arg !== '--long')
const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-test-'))
const report = path.join(folder, 'report.json')
const vitest = spawnSync(
  process.execPath,
  [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...rest,
  ],
  { stdio: 'inherit', env: { ...process.env, ...(long ? { SIGNALBOX_TEST_LONG: '1' } : {}) } },
)
let line = 'no test ran'
let failed = true
try {
  const result = JSON.parse(readFileSync(report, 'utf8'))
  // A file that fails to load has no tests of its own, and counts as one failure.
  const broken = result.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  ).length
  const skipped = result.numPendingTests + result.numTodoTests
  const failures = result.numFailedTests + broken
  failed = failures > 0 || result.numPassedTests === 0
  line = `${result.numPassedTests} passed, ${failures} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
} catch (error) {
  console.error(`vitest left no report: ${error.message}`)
}
rmSync(folder, { recursive: true, force: true })
console.log(line)
process.exit(failed || vitest.status !== 0 ? 1 : 0)
