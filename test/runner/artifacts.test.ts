import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import yazl from 'yazl'
import { extract } from '../../src/runner/artifacts/extract.js'
import { selectFiles } from '../../src/runner/artifacts/select.js'
import type { ArtifactSpec } from '../../src/runner/job/payload.js'
import { Harness } from './support/harness.js'

test('selects what the patterns mean, and leaves out what exclude means', async () => {
  await using folder = new Folder()
  for (const file of [
    'a.txt',
    'b.log',
    'dist/x.js',
    'dist/deep/y.js',
    'dist/deep/y.map',
    '.hidden/z.txt',
    'other/q.txt',
  ]) {
    folder.write(file)
  }
  fs.symlinkSync('/etc', path.join(folder.root, 'out'))
  fs.symlinkSync('a.txt', path.join(folder.root, 'link.txt'))
  const said: string[] = []
  const select = (paths: string[], exclude: string[] = []) =>
    selectFiles(
      folder.root,
      { ...noArtifact, paths, exclude },
      { plain: (text) => said.push(text), warning: (text) => said.push(text) },
    )
  expect(await select(['a.txt'])).toEqual(['a.txt'])
  expect(await select(['dist/'])).toEqual(['dist', 'dist/deep', 'dist/deep/y.js', 'dist/deep/y.map', 'dist/x.js'])
  expect(await select(['*.txt'])).toEqual(['a.txt', 'link.txt'])
  expect(await select(['**/*.txt'])).toEqual(['.hidden/z.txt', 'a.txt', 'link.txt', 'other/q.txt'])
  expect(await select(['d*'])).toContain('dist/deep/y.js')
  expect(await select(['**/deep'])).toEqual(['dist/deep', 'dist/deep/y.js', 'dist/deep/y.map'])
  expect(await select(['dist/**/*.{js,map}', '[ab].*'])).toEqual([
    'a.txt',
    'b.log',
    'dist/deep/y.js',
    'dist/deep/y.map',
    'dist/x.js',
  ])
  expect(await select(['dist/'], ['dist/**/*.map', 'dist'])).toEqual(['dist/deep', 'dist/deep/y.js', 'dist/x.js'])
  expect(await select([`${folder.root}/a.txt`, './other/q.txt'])).toEqual(['a.txt', 'other/q.txt'])
  expect(await select(['../', '/etc/passwd', 'out/passwd', 'out/**', '[z-a]', 'nothing*'])).toEqual([])
  expect(said).toContain('artifact path is not a subpath of project directory: ../')
  expect(said).toContain('artifact path is not a subpath of project directory: /etc/passwd')
  expect(said).toContain('dist/: found 5 matching artifact files and directories')
  expect(said).toContain('dist/**/*.map: excluded 1 files')
  expect(said.find((text) => text.startsWith('nothing*: no matching files'))).toContain(folder.root)
})

test('finds what git does not track', async () => {
  await using folder = new Folder()
  folder.write('tracked.txt')
  for (const args of [
    ['init', '-q'],
    ['add', '-A'],
    ['-c', 'user.name=a', '-c', 'user.email=a', 'commit', '-qm', 'a'],
  ]) {
    execFileSync('git', args, { cwd: folder.root })
  }
  folder.write('new\nname.txt')
  folder.write('sub/also.txt')
  const quiet = { plain: () => undefined, warning: () => undefined }
  expect(await selectFiles(folder.root, { ...noArtifact, untracked: true }, quiet)).toEqual([
    'new\nname.txt',
    'sub/also.txt',
  ])
})

test('sends reports as gzip members and as they are', async () => {
  await using harness = await Harness.start('websocket')
  const report = (type: string, format: string, paths: string[]) => ({
    name: `${type}.xml`,
    paths,
    when: 'always',
    artifact_type: type,
    artifact_format: format,
  })
  const job = harness.box.add({
    script: ['echo one > 1.xml', 'echo zwei > ünï.xml', 'echo "{}" > quality.json', 'exit 1'],
    extra: {
      artifacts: [
        report('junit', 'gzip', ['*.xml']),
        report('codequality', 'raw', ['quality.json']),
        report('metrics', 'gzip', ['none-of-these']),
        report('archive', 'zip', []),
      ],
    },
  })
  await harness.runner()
  expect(await job.finished()).toMatchObject({ state: 'failed', exitCode: 1 })
  expect(job.artifacts.map(({ type, filename }) => [type, filename])).toEqual([
    ['junit', 'junit.xml.gz'],
    ['codequality', 'codequality.xml'],
  ])
  const gzip = job.artifacts[0]?.body ?? Buffer.alloc(0)
  expect(gunzipSync(gzip).toString()).toBe('one\nzwei\n')
  expect(gzip.subarray(10, 22).toString('latin1')).toBe('1.xml\x001.xml\x00')
  expect(gzip.includes(Buffer.from('e:%C3%BCn%C3%AF.xml\0'))).toBe(true)
  expect(job.artifacts[1]?.body.toString()).toBe('{}\n')
  expect(job.text).toContain('WARNING: none-of-these: no matching files.')
  expect(job.text).toContain('ERROR: No files to upload')
})

test('tries an upload again where that may help, and follows the host of a redirect', async () => {
  await using harness = await Harness.start('websocket')
  harness.box.fault(/POST .*artifacts/, 503, { times: 2, headers: { 'retry-after': '0' } })
  harness.box.fault(/POST .*artifacts/, 501)
  harness.box.fault(/POST .*artifacts/, 307, { headers: { location: `${harness.box.http}/elsewhere` } })
  const job = harness.box.add(keeper('archive'))
  await harness.runner()
  expect(await job.finished(), job.text).toMatchObject({ state: 'success' })
  expect(job.artifacts).toHaveLength(1)
  expect(job.text).toContain('Uploading artifacts as "archive" to coordinator... 201 Created')
})

for (const [status, sentence, times] of [
  [403, 'permission denied', 1],
  [413, 'too large', 1],
  [400, '400 Bad Request', 1],
  [404, '404 Not Found', 1],
  [501, '501 Not Implemented', 3],
] as const) {
  test(`fails a job whose artifacts are answered ${status}`, async () => {
    await using harness = await Harness.start('websocket')
    harness.box.fault(/POST .*artifacts/, status, { times: 10 })
    const job = harness.box.add(keeper('archive'))
    await harness.runner()
    expect(await job.finished()).toMatchObject({ state: 'failed', failureReason: 'script_failure', exitCode: 1 })
    expect(job.text).toContain(sentence)
    expect(harness.box.requests.filter(({ method }) => method === 'POST')).toHaveLength(times)
  })
}

test('understands an answer that comes before the archive was read', async () => {
  await using harness = await Harness.start('websocket')
  const impatient = http.createServer((request, response) => {
    response.writeHead(413, { connection: 'close' }).end('{"message":"no"}')
    // It reads no more.
    request.pause()
  })
  await new Promise<void>((resolve) => impatient.listen(0, '127.0.0.1', resolve))
  harness.onClose(() => void impatient.close())
  const location = `http://127.0.0.1:${(impatient.address() as AddressInfo).port}`
  harness.box.fault(/POST .*artifacts/, 307, { headers: { location } })
  const job = harness.box.add({
    script: ['head -c 20000000 /dev/urandom > big.bin'],
    extra: { artifacts: [{ paths: ['big.bin'], artifact_type: 'archive', artifact_format: 'zip' }] },
  })
  await harness.runner()
  expect(await job.finished()).toMatchObject({ state: 'failed', failureReason: 'script_failure' })
  expect(job.text).toContain('uploading artifacts: too large')
})

test('fetches an archive from where it is sent to, without taking the token there', async () => {
  await using harness = await Harness.start('websocket')
  const maker = harness.box.add(keeper('archive'))
  await harness.runner({ concurrency: 1 })
  await maker.finished()
  const seen: http.IncomingHttpHeaders[] = []
  const store = http.createServer((request, response) => {
    seen.push(request.headers)
    response.end(maker.artifacts[0]?.body)
  })
  await new Promise<void>((resolve) => store.listen(0, '127.0.0.1', resolve))
  harness.onClose(() => void store.close())
  harness.box.redirectTo = `http://localhost:${(store.address() as AddressInfo).port}/object`
  const taker = harness.box.add(takes(maker.id, maker.token))
  expect(await taker.finished(), taker.text).toMatchObject({ state: 'success' })
  expect(seen).toHaveLength(1)
  expect(seen[0]).not.toHaveProperty('job-token')
})

test('fails a job that cannot have the artifacts it needs, as often as it may try', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({
    ...takes(1, 'glcbt-nobody'),
    variables: { GIT_STRATEGY: 'none', ARTIFACT_DOWNLOAD_ATTEMPTS: '2' },
    afterScript: ['echo never'],
  })
  await harness.runner()
  expect(await job.finished()).toMatchObject({ state: 'failed', failureReason: 'script_failure' })
  expect(job.text.match(/Downloading artifacts for maker/g)).toHaveLength(2)
  expect(job.text).not.toContain('never')
})

test('unpacks nothing outside of its folder, nor through links', async () => {
  await using folder = new Folder()
  const root = path.join(folder.root, 'build')
  fs.mkdirSync(path.join(root, 'real'), { recursive: true })
  fs.mkdirSync(path.join(folder.root, 'outside'))
  fs.symlinkSync('../outside', path.join(root, 'door'))
  fs.symlinkSync(path.join(folder.root, 'outside/target'), path.join(root, 'plain.txt'))
  const archive = await folder.zip((zip) => {
    zip.addBuffer(Buffer.from('x'), 'door/through.txt')
    zip.addBuffer(Buffer.from('plain'), 'plain.txt')
    zip.addBuffer(Buffer.from('../../outside'), 'real/leads-out', { mode: 0o120777 })
    zip.addBuffer(Buffer.from('../plain.txt'), 'real/stays', { mode: 0o120777 })
    zip.addBuffer(Buffer.from('y'), 'real/leads-out/file.txt')
    zip.addBuffer(Buffer.from(path.join(folder.root, 'outside')), 'absolute', { mode: 0o120777 })
    zip.addBuffer(Buffer.from('absolute'), 'chain', { mode: 0o120777 })
    zip.addBuffer(Buffer.from('target'), 'absolute/below', { mode: 0o120777 })
    zip.addBuffer(Buffer.from('../outside'), 'late', { mode: 0o120777 })
    zip.addEmptyDirectory('late/', { mode: 0o40700 })
    zip.addBuffer(Buffer.from('/usr/bin/python3'), '.venv/bin/python', { mode: 0o120777 })
    zip.addBuffer(Buffer.from('v'), '.venv/bin/activate')
    zip.addBuffer(Buffer.from('z'), 'real/set-id', { mode: 0o104755 })
  })
  const said: string[] = []
  await extract(archive, root, { plain: () => undefined, warning: (text) => said.push(text) })
  expect(fs.readdirSync(path.join(folder.root, 'outside'))).toEqual([])
  expect(fs.lstatSync(path.join(root, 'plain.txt')).isFile()).toBe(true)
  expect(fs.readFileSync(path.join(root, 'real/stays'), 'utf8')).toBe('plain')
  expect(fs.readFileSync(path.join(root, 'real/leads-out/file.txt'), 'utf8')).toBe('y')
  expect(fs.statSync(path.join(root, 'real/set-id')).mode & 0o7777).toBe(0o755)
  expect(said.join('\n')).toContain('door/through.txt: leads through a symbolic link')
  expect(said.join('\n')).toMatch(/^real\/leads-out: /m)
  // What is a folder stays one; a link that leads out is as it was packed, and nothing has gone through it.
  expect(fs.lstatSync(path.join(root, 'absolute')).isDirectory()).toBe(true)
  expect(fs.readlinkSync(path.join(root, 'chain'))).toBe('absolute')
  expect(fs.lstatSync(path.join(root, 'late')).isDirectory()).toBe(true)
  expect(fs.readlinkSync(path.join(root, '.venv/bin/python'))).toBe('/usr/bin/python3')
  // A second archive meets the links of the first.
  const second = await folder.zip((zip) => {
    zip.addBuffer(Buffer.from('x'), '.venv/bin/python')
    zip.addBuffer(Buffer.from('x'), 'door/again')
  })
  await extract(second, root, { plain: () => undefined, warning: () => undefined })
  expect(fs.lstatSync(path.join(root, '.venv/bin/python')).isFile()).toBe(true)
  expect(fs.readdirSync(path.join(folder.root, 'outside'))).toEqual([])
})

test('warns of what an archive says wrongly of a file, and leaves no other file closed', async () => {
  await using folder = new Folder()
  const root = path.join(folder.root, 'build')
  fs.mkdirSync(root)
  const text = Buffer.from('x'.repeat(100_000))
  const archive = await folder.zip((zip) => {
    zip.addBuffer(text, 'lies.txt')
    zip.addBuffer(text, 'honest.txt')
  })
  const bytes = fs.readFileSync(archive)
  // The size of the first entry in the directory of the archive.
  bytes.writeUInt32LE(5, bytes.indexOf('PK\x01\x02') + 24)
  fs.writeFileSync(archive, bytes)
  const said: string[] = []
  await extract(archive, root, { plain: () => undefined, warning: (line) => said.push(line) })
  expect(said).toEqual([expect.stringMatching(/^lies\.txt: .*(too many bytes|byte)/)])
  expect(fs.readFileSync(path.join(root, 'honest.txt'))).toEqual(text)
})

for (const name of ['../evil.txt', '/evil.txt', 'a/../../evil.txt']) {
  test(`refuses an archive with the name ${name}`, async () => {
    await using folder = new Folder()
    const root = path.join(folder.root, 'build')
    fs.mkdirSync(root)
    // The library makes no such archive, so one of its own is changed.
    const innocent = 'i'.repeat(name.length)
    const archive = await folder.zip((zip) => zip.addBuffer(Buffer.from('x'), innocent))
    const bytes = fs.readFileSync(archive, 'latin1').replaceAll(innocent, name)
    fs.writeFileSync(archive, bytes, 'latin1')
    const quiet = { plain: () => undefined, warning: () => undefined }
    await expect(extract(archive, root, quiet)).rejects.toThrow(/path/)
    expect(fs.readdirSync(root)).toEqual([])
  })
}

const noArtifact: ArtifactSpec = {
  name: '',
  untracked: false,
  paths: [],
  exclude: [],
  when: 'on_success',
  type: 'archive',
  format: 'zip',
  expireIn: '',
}

function keeper(type: string) {
  return {
    script: ['echo kept > kept.txt'],
    extra: { artifacts: [{ paths: ['kept.txt'], artifact_type: type, artifact_format: 'zip' }] },
  }
}

function takes(id: number, token: string) {
  return {
    variables: { GIT_STRATEGY: 'empty' },
    script: ['cat kept.txt'],
    extra: { dependencies: [{ id, name: 'maker', token, artifacts_file: { filename: 'a.zip', size: 1 } }] },
  }
}

/** A folder for one test. */
class Folder {
  readonly root = fs.realpathSync(fs.mkdtempSync(path.join(fs.realpathSync('/tmp'), 'signalbox-artifacts-')))

  write(file: string): void {
    fs.mkdirSync(path.dirname(path.join(this.root, file)), { recursive: true })
    fs.writeFileSync(path.join(this.root, file), file)
  }

  async zip(fill: (zip: yazl.ZipFile) => void): Promise<string> {
    const zip = new yazl.ZipFile()
    fill(zip)
    zip.end()
    const chunks: Buffer[] = []
    for await (const chunk of zip.outputStream) chunks.push(chunk as Buffer)
    const file = path.join(this.root, 'archive.zip')
    fs.writeFileSync(file, Buffer.concat(chunks))
    return file
  }

  async [Symbol.asyncDispose](): Promise<void> {
    fs.rmSync(this.root, { recursive: true, force: true })
  }
}
