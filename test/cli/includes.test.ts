/** Includes of `lint` and `run` as a person has them: other projects by their own git, the web, templates, no network. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { git, signalbox } from '../support/processes.js'

const secret = `Basic ${Buffer.from('me:hunter2').toString('base64')}`
let place: string
let clone: string
let forge: http.Server
let web: https.Server
/** Authorization of every request that the web has got. */
const atWeb: (string | undefined)[] = []
let atForge = 0

const portOf = (server: http.Server | https.Server): number => (server.address() as AddressInfo).port

/** Git's own server, for those who know the password. */
function answerGit(req: http.IncomingMessage, res: http.ServerResponse): void {
  atForge++
  if (req.headers.authorization !== secret) {
    res.writeHead(401, { 'www-authenticate': 'Basic realm="forge"' }).end()
    return
  }
  const url = new URL(req.url ?? '/', 'http://forge')
  const child = spawn('git', ['http-backend'], {
    env: {
      ...process.env,
      GIT_PROJECT_ROOT: path.join(place, 'forge'),
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: req.method,
      CONTENT_TYPE: req.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: req.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: String(req.headers['git-protocol'] ?? ''),
      REMOTE_USER: 'me',
    },
  })
  req.pipe(child.stdin)
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk) => chunks.push(chunk))
  child.on('close', () => {
    const output = Buffer.concat(chunks)
    const end = output.indexOf('\r\n\r\n')
    for (const line of output.subarray(0, end).toString().split('\r\n')) {
      const [name = '', value = ''] = line.split(': ')
      if (name === 'Status') res.statusCode = Number.parseInt(value, 10)
      else res.setHeader(name, value)
    }
    res.end(output.subarray(end + 4))
  })
}

async function project(name: string, files: Record<string, string>): Promise<string> {
  const folder = path.join(place, 'work', name)
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true })
    writeFileSync(path.join(folder, file), content)
  }
  await git(folder, 'init', '--quiet', '--initial-branch=main')
  await git(folder, 'add', '--all')
  await git(folder, 'commit', '--quiet', '--message', 'Files')
  await git(folder, 'tag', '1.2.3')
  await git(folder, 'clone', '--quiet', '--bare', '.', path.join(place, 'forge', `${name}.git`))
  await git(path.join(place, 'forge', `${name}.git`), 'config', 'uploadpack.allowAnySHA1InWant', 'true')
  return folder
}

beforeAll(async () => {
  place = mkdtempSync(path.join(os.tmpdir(), 'signalbox-includes-'))
  forge = http.createServer(answerGit)
  await new Promise<void>((resolve) => forge.listen(0, '127.0.0.1', resolve))
  const [key, cert] = [path.join(place, 'key.pem'), path.join(place, 'cert.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
      .concat(subject)
      .concat(['-keyout', key, '-out', cert]),
    { stdio: 'ignore' },
  )
  web = https.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (req, res) => {
    atWeb.push(req.headers.authorization)
    if (req.url?.startsWith('/away') === true) res.writeHead(302, { location: 'https://elsewhere.example/x.yml' }).end()
    else res.end(`from-web: {script: "echo ${req.url}"}\n`)
  })
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
  await project('group/ci', {
    'all.yml': 'include: [{local: part.yml}, {local: "more/*.yml"}]\nfrom-project: {script: echo project}\n',
    'part.yml': 'from-part: {script: echo part}\n',
    'more/a.yml': 'from-more: {script: echo more}\n',
    'templates/lint.yml':
      'spec: {component: [version, reference]}\n---\nfrom-component: {script: "echo $[[ component.version ]]"}\n',
  })
  clone = await project('group/app', { 'own.yml': 'from-own: {script: echo own}\n' })
  const { port } = forge.address() as AddressInfo
  await git(clone, 'remote', 'add', 'origin', `http://me:hunter2@127.0.0.1:${port}/group/app.git`)
})
afterAll(() => {
  forge.closeAllConnections()
  forge.close()
  web.closeAllConnections()
  web.close()
  rmSync(place, { recursive: true, force: true })
})

let home: string
beforeEach(() => {
  home = mkdtempSync(path.join(place, 'home-'))
})

function run(file: string, args: string[], env: Record<string, string> = {}) {
  writeFileSync(path.join(clone, '.gitlab-ci.yml'), file)
  return signalbox(args, {
    cwd: clone,
    env: {
      NO_COLOR: '1',
      XDG_CACHE_HOME: path.join(home, 'cache'),
      XDG_CONFIG_HOME: path.join(home, 'config'),
      NODE_EXTRA_CA_CERTS: path.join(place, 'cert.pem'),
      ...env,
    },
  })
}

async function listed(file: string, args: string[] = [], env: Record<string, string> = {}): Promise<string[]> {
  const { code, stdout, stderr } = await run(file, ['run', '--list', '--json', ...args], env)
  expect(stderr, stderr).not.toContain('signalbox:')
  expect(code).toBe(0)
  return JSON.parse(stdout).map(({ name }: { name: string }) => name)
}

const everything = `
include:
  - {project: group/ci, file: all.yml}
  - {project: $CI_PROJECT_PATH, file: own.yml}
  - {component: $CI_SERVER_FQDN/group/ci/lint@1.2}
`
const names = ['from-component', 'from-more', 'from-own', 'from-part', 'from-project']

it('takes other projects and components by git, from the host of origin', async () => {
  expect((await listed(everything)).toSorted()).toEqual(names)
  const merged = await run(everything, ['lint', '--merged'])
  expect(merged.stdout).toContain('echo 1.2.3')
  const pinned = `include: [{project: group/ci, file: part.yml, ref: 1.2.3}]\n`
  expect(await listed(pinned)).toEqual(['from-part'])
})

it('runs what it takes', async () => {
  const { code, stdout, stderr } = await run(everything, ['run', 'from-part', 'from-own', 'from-component'])
  expect(`${stdout}${stderr}`).toContain('pipeline')
  expect(code).toBe(0)
})

it('goes on with what was fetched last, and says so', async () => {
  const file = 'include: [{project: group/ci, file: part.yml}]\n'
  expect(await listed(file)).toEqual(['from-part'])
  const { port } = forge.address() as AddressInfo
  forge.closeAllConnections()
  await new Promise((resolve) => forge.close(resolve))
  const kept = await run(file, ['lint'])
  await new Promise<void>((resolve) => forge.listen(port, '127.0.0.1', resolve))
  expect(kept.code).toBe(0)
  expect(kept.stderr).toMatch(/cannot be reached; group\/ci is taken as it was fetched last \([0-9a-f]{8}\)/)
  await git(clone, 'remote', 'set-url', 'origin', 'http://me:hunter2@127.0.0.1:1/group/app.git')
  try {
    const none = await run(file, ['lint'])
    expect(none.stderr).toContain('127.0.0.1:1 cannot be reached, and nothing was kept')
    expect(none.stderr).not.toContain('hunter2')
  } finally {
    await git(clone, 'remote', 'set-url', 'origin', `http://me:hunter2@127.0.0.1:${portOf(forge)}/group/app.git`)
  }
  const before = atForge
  const sha = (await git(path.join(place, 'work', 'group/ci'), 'rev-parse', 'HEAD')).trim()
  const pinned = `include: [{project: group/ci, file: part.yml, ref: ${sha}}]\n`
  expect(await listed(pinned)).toEqual(['from-part'])
  // A commit that is kept needs no network at all.
  expect(atForge).toBe(before)
})

it.each([
  ['{project: group/none, file: a.yml}', /project missing or access denied/],
  ['{project: group/ci, file: none.yml}', /file missing/],
  ['{project: group/ci, file: part.yml, ref: none}', /ref missing/],
  ['{project: ../../etc, file: part.yml}', /project missing/],
  ['{project: $CI_PROJECT_PATH, file: own.yml, ref: none}', /ref missing/],
  ['{component: elsewhere.example/group/ci/lint@1}', /components of elsewhere.example are not available/],
  ['{remote: "http://127.0.0.1/x.yml"}', /only https is fetched/],
  ['{remote: "https://user:word@example.org/x.yml"}', /is not an allowed host; allow it with --allow-include-host/],
  ['{template: Jobs/SAST.gitlab-ci.yml}', /no templates are built in: say where they lie with --templates/],
])('says why %s cannot be had', async (entry, why) => {
  const { code, stderr } = await run(`include: [${entry}]\nj: {script: x}\n`, ['lint'])
  expect(stderr).toMatch(why)
  expect(stderr).not.toContain('hunter2')
  expect(code).toBe(1)
})

it('takes files of the web from hosts that are named, without credentials, and keeps them', async () => {
  const { port } = web.address() as AddressInfo
  const file = (name: string) => `include: ["https://localhost:${port}/${name}.yml"]\n`
  expect((await run(file('a'), ['lint'])).stderr).toContain(`allow it with --allow-include-host localhost:${port}`)
  const allow = ['--allow-include-host', `localhost:${port}`]
  expect(await listed(file('a'), allow)).toEqual(['from-web'])
  const away = await run(file('away'), ['lint', ...allow])
  expect(away.stderr).toContain('elsewhere.example is not an allowed host')
  expect(atWeb).toEqual([undefined, undefined])
  const remembered = path.join(home, 'config', 'signalbox')
  mkdirSync(remembered, { recursive: true })
  writeFileSync(path.join(remembered, 'include-hosts'), `localhost:${port}\n`)
  // An answer that was remembered lets public addresses in only.
  expect((await run(file('a'), ['lint'])).stderr).toContain('localhost has an address that is not public')
  expect((await run(file('a'), ['lint', '--allow-include-host', 'https://x'])).code).toBe(2)
})

it('takes templates from a folder or an address', async () => {
  const folder = path.join(home, 'templates')
  mkdirSync(path.join(folder, 'Jobs'), { recursive: true })
  writeFileSync(path.join(folder, 'Jobs', 'X.gitlab-ci.yml'), 'from-template: {script: x}\n')
  const file = 'include: [{template: Jobs/X.gitlab-ci.yml}]\n'
  expect(await listed(file, ['--templates', folder])).toEqual(['from-template'])
  expect(await listed(file, [], { SIGNALBOX_TEMPLATES: folder })).toEqual(['from-template'])
  const { port } = web.address() as AddressInfo
  expect(await listed(file, ['--templates', `https://localhost:${port}/t/`])).toEqual(['from-web'])
})
