// Installs and builds whatever a fresh clone lacks, and nothing that is up to date. Uses Node's own modules only.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`signalbox needs Node 20.19 or newer; this is ${process.version}`)
  process.exit(2)
}

const compilerHint = `If it was better-sqlite3: that takes a C++ compiler, make, Python 3 and Node's headers. Where these cannot be
downloaded, name a folder that has them as include/node: npm_config_nodedir=FOLDER npm run build`

installIfNeeded()
if (!process.argv.includes('--install-only')) buildIfNeeded()

function installIfNeeded() {
  const stamp = path.join(root, 'node_modules', '.signalbox-stamp')
  const wanted = hashOf([path.join(root, 'package-lock.json')]) + process.version
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && addonLoads()) return
  console.error('installing packages (better-sqlite3 is compiled here: a minute or two, once)')
  // Not `npm ci`: that begins by deleting what is there, and better-sqlite3 would be compiled again for every other package.
  run(
    'npm',
    ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      // Those that came with this Node are the right ones, whatever npm is set to, and need no download.
      ...(hasHeaders() ? { npm_config_nodedir: nodePrefix() } : {}),
      JOBS: 'max',
      npm_config_jobs: 'max',
      NODE_ENV: 'development',
    },
    compilerHint,
  )
  writeFileSync(stamp, wanted)
}

function buildIfNeeded() {
  const stamp = path.join(root, 'dist', '.signalbox-stamp')
  const wanted = hashOf([
    ...filesUnder(path.join(root, 'src')),
    path.join(root, 'tsconfig.json'),
    path.join(root, 'tsconfig.build.json'),
    ...filesUnder(path.join(root, 'scripts')),
    path.join(root, 'docs', 'openapi.json'),
    path.join(root, 'docs', 'signalbox.schema.json'),
    path.join(root, 'package.json'),
    path.join(root, 'package-lock.json'),
  ])
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  // Built aside and moved into place, so that nobody ever runs half of it.
  const fresh = path.join(root, `.dist-${process.pid}`)
  run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', fresh], {})
  run(process.execPath, ['scripts/copy-assets.mjs', fresh], {})
  run(process.execPath, ['scripts/bundle.mjs', fresh], {})
  run(process.execPath, ['scripts/web.mjs', fresh], {})
  writeFileSync(path.join(fresh, '.signalbox-stamp'), wanted)
  rmSync(path.join(root, 'dist'), { recursive: true, force: true })
  renameSync(fresh, path.join(root, 'dist'))
}

function addonLoads() {
  const probe = "new (require('better-sqlite3'))(':memory:').close()"
  return spawnSync(process.execPath, ['-e', probe], { cwd: root, stdio: 'ignore' }).status === 0
}

function nodePrefix() {
  return path.dirname(path.dirname(process.execPath))
}

function hasHeaders() {
  return existsSync(path.join(nodePrefix(), 'include', 'node', 'node.h'))
}

function filesUnder(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
    .sort()
}

function hashOf(files) {
  const hash = createHash('sha256')
  for (const file of files) hash.update(path.relative(root, file)).update('\0').update(readFileSync(file)).update('\0')
  return hash.digest('hex')
}

function run(command, args, env, hint = '') {
  const done = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', process.stderr, process.stderr],
    env: { ...process.env, ...env },
  })
  if (done.status !== 0) {
    console.error(`${command} ${args.join(' ')} failed (${done.error?.message ?? `exit ${done.status}`})`)
    if (hint) console.error(hint)
    process.exit(1)
  }
}
