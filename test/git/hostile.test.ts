import net from 'node:net'
import { gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { noSha } from '../../src/core/pipeline.js'
import { toPacket } from '../../src/git/pkt-line.js'
import { adminToken, startGitBox } from './support/git-box.js'
import { basic, push, type RawRequest, requestTo, send, want } from './support/raw.js'

const fetchRefs = 'info/refs?service=git-upload-pack'

it('serves two services at exact paths and nothing else', async () => {
  await using box = await startGitBox()
  await box.filled()
  // 418: not the door's at all, the server may have another use for it.
  const table: [path: string, status: number][] = [
    [`/acme/app.git/${fetchRefs}`, 200],
    ['/acme/app.git/info/refs', 403],
    ['/acme/app.git/info/refs?service=git-evil', 403],
    ['/acme/app.git/info/refs?service=git-upload-archive', 403],
    ['/acme/app.git/info/refs?service=git-upload-pack&service=git-receive-pack', 403],
    ['/acme/app.git/info/refs?service=git-upload-pack%00', 403],
    [`/acme//app.git/${fetchRefs}`, 404],
    [`//acme/app.git/${fetchRefs}`, 404],
    [`/acme/../acme/app.git/${fetchRefs}`, 404],
    [`/acme/%2e%2e/acme/app.git/${fetchRefs}`, 404],
    [`/acme/%252e%252e/app.git/${fetchRefs}`, 404],
    [`/acme%2fapp.git/${fetchRefs}`, 404],
    [`/acme/app%00.git/${fetchRefs}`, 404],
    [`/acme/app.git/${fetchRefs.replace('/', '//')}`, 404],
    [`/acme/app.git/../../../etc/passwd`, 404],
    [`/acme/-x.git/${fetchRefs}`, 404],
    [`/-x/app.git/${fetchRefs}`, 404],
    [`/acme/app.git/.git/config`, 404],
    [`/acme/app/.git/config`, 404],
    ['/acme/app.git/config', 404],
    ['/acme/app.git/HEAD', 404],
    ['/acme/app.git/objects/info/packs', 404],
    ['/acme/app.git/', 404],
    [`/1.git/${fetchRefs}`, 404],
    [`/acme/1.git/${fetchRefs}`, 404],
    [`/${'a'.repeat(300)}/app.git/${fetchRefs}`, 404],
    [`/${'a/'.repeat(700)}app.git/${fetchRefs}`, 404],
    ['/acme/app.git', 418],
    ['/acme/app', 418],
    [`/acme/app/${fetchRefs}`, 301],
    [`/-/app/${fetchRefs}`, 418],
    [`/app/${fetchRefs}`, 418],
    [`/api/v4/acme/app.git/${fetchRefs}`, 418],
  ]
  for (const [path, status] of table) expect([path, (await send(box, { path })).status]).toEqual([path, status])
})

it('refuses requests that no git client sends', async () => {
  await using box = await startGitBox()
  const { sha } = await box.filled()
  const rpc = (body: string | Buffer, headers: Record<string, string> = {}): RawRequest => {
    const request = requestTo('git-upload-pack', body)
    return { ...request, headers: { ...request.headers, ...headers } }
  }
  const wants = (count: number) => Buffer.from(`0032want ${sha}\n`.repeat(count))
  const table: [what: string, request: RawRequest, status: number][] = [
    ['the wrong method', { path: `/acme/app.git/${fetchRefs}`, method: 'POST', body: '' }, 405],
    ['the wrong method', { path: '/acme/app.git/git-upload-pack', method: 'GET' }, 405],
    ['a version to come', { path: `/acme/app.git/${fetchRefs}`, headers: { 'Git-Protocol': 'version=99' } }, 400],
    ['more than a version', { path: `/acme/app.git/${fetchRefs}`, headers: { 'Git-Protocol': 'version=2:x' } }, 400],
    ['a form', rpc('0000', { 'Content-Type': 'application/x-www-form-urlencoded' }), 415],
    ['the type of a push', rpc('0000', { 'Content-Type': 'application/x-git-receive-pack-request' }), 415],
    ['another encoding', rpc('0000', { 'Content-Encoding': 'br' }), 415],
    ['what is not gzip', rpc('0000', { 'Content-Encoding': 'gzip' }), 400],
    ['half of a gzip', rpc(gzipSync(wants(1000)).subarray(0, 60), { 'Content-Encoding': 'gzip' }), 400],
    ['no packets', rpc('hello, world'), 400],
    ['a packet of 3', rpc('0003'), 400],
    ['a packet of 65,535', rpc(`ffff${'x'.repeat(65_531)}`), 400],
    ['half a packet', rpc('0032want'), 400],
    ['half a length', rpc('0000003'), 400],
    ['no packets', requestTo('git-receive-pack', 'hello, world'), 400],
    ['no commands', requestTo('git-receive-pack', toPacket('push-cert\0')), 400],
    ['a push without an end', requestTo('git-receive-pack', toPacket(`${noSha} ${sha} refs/heads/x`)), 400],
    ['a gzip bomb', rpc(gzipSync(Buffer.alloc(50_000_000)), { 'Content-Encoding': 'gzip' }), 413],
    ['a quarter of a million wants', rpc(wants(250_000)), 413],
    ['a million wants, packed', rpc(gzipSync(wants(1_000_000)), { 'Content-Encoding': 'gzip' }), 413],
    [
      'too many commands',
      requestTo('git-receive-pack', toPacket(`${noSha} ${sha} refs/heads/x`).toString().repeat(200_000)),
      413,
    ],
  ]
  for (const [what, request, status] of table) {
    const { status: answered, headers } = await send(box, request)
    expect([what, answered]).toEqual([what, status])
    expect(headers['content-type']).toBe('text/plain; charset=utf-8')
  }
  expect(box.errors).toEqual([])
})

it('refuses names that cannot be refs before git sees them', async () => {
  await using box = await startGitBox()
  const { sha, work } = await box.filled()
  const names = [
    '--upload-pack=x',
    'main',
    'HEAD',
    'refs',
    'refs/',
    'refs/heads/',
    'refs/heads/../x',
    'refs/heads/a..b',
    'refs/heads/.x',
    'refs/heads/x.lock',
    'refs/heads/x.lock/y',
    'refs/heads/x.',
    'refs/heads/x//y',
    'refs/heads/x y',
    'refs/heads/x\ty',
    'refs/heads/x~1',
    'refs/heads/x^',
    'refs/heads/x:y',
    'refs/heads/x?',
    'refs/heads/x*',
    'refs/heads/x[',
    'refs/heads/x\\y',
    'refs/heads/@{u}',
    'refs/heads/-x',
    'refs/heads/--upload-pack=x',
    '/refs/heads/x',
    'refs/heads/\x1b[31m',
    `refs/heads/${'x'.repeat(4000)}`,
    `refs/heads/${'x'.repeat(255)}`,
  ]
  for (const name of names) {
    const { status } = await send(box, push([`${noSha} ${sha} ${name}`]))
    expect([name, status]).toEqual([name, 400])
  }
  const notUtf8 = push([`${noSha} ${sha} refs/heads/\xff`])
  const body = Buffer.from((notUtf8.body as Buffer).toString('latin1').replace('\xc3\xbf', '\xff\xff'), 'latin1')
  expect((await send(box, { ...notUtf8, body })).status).toBe(400)
  expect(await work.git('ls-remote', 'origin', 'refs/heads/*')).toBe(`${sha}\trefs/heads/main`)
  expect(await box.pipelines()).toHaveLength(1)
})

it('gives no commit that no ref reaches', async () => {
  await using box = await startGitBox()
  const { project, sha, work } = await box.filled()
  await work.git('commit', '--quiet', '--amend', '-m', 'Other')
  // Nobody may do this through the door: the branch is protected.
  await work.git('push', '--quiet', '--force', box.repositories.pathOf(project.id), 'main')
  // Pinned by its pipeline, then by nothing.
  expect((await send(box, want(sha))).body.includes('ERR')).toBe(false)
  box.repositories.unpin(
    await box.core.store.read.db
      .selectFrom('projects')
      .select(['id', 'default_branch as defaultBranch'])
      .executeTakeFirstOrThrow(),
    1,
  )
  for (const id of [sha, 'f'.repeat(40)]) {
    const { status, body } = await send(box, want(id))
    expect([status, body.toString()]).toEqual([200, expect.stringContaining(`ERR upload-pack: not our ref ${id}`)])
  }
})

it('answers large-file requests with a clear no', async () => {
  await using box = await startGitBox()
  const headers = { 'Content-Type': 'application/vnd.git-lfs+json' }
  for (const path of ['objects/batch', 'locks/verify']) {
    const answer = await send(box, { path: `/acme/app.git/info/lfs/${path}`, headers, body: '{"operation":"upload"}' })
    expect([answer.status, answer.headers['content-type']]).toEqual([501, 'application/vnd.git-lfs+json'])
    expect(JSON.parse(answer.body.toString())).toEqual({ message: 'Git LFS is not available on this server.' })
  }
})

it('keeps the connection of a client that was refused', async () => {
  await using box = await startGitBox()
  await box.filled()
  const head = `Host: x\r\nAuthorization: ${basic(adminToken)}\r\n`
  const socket = net.connect(box.port, '127.0.0.1')
  const type = 'Content-Type: application/x-git-receive-pack-request\r\n'
  socket.write(`POST /acme/app.git/git-receive-pack HTTP/1.1\r\n${head}${type}Content-Length: 12\r\n\r\nhello,`)
  socket.write(` world`)
  socket.write(`GET /acme/app.git/${fetchRefs} HTTP/1.1\r\n${head}Connection: close\r\n\r\n`)
  let text = ''
  for await (const chunk of socket) text += (chunk as Buffer).toString('latin1')
  expect(text.match(/^HTTP\/1\.1 \d+/gm)).toEqual(['HTTP/1.1 400', 'HTTP/1.1 200'])
})

it('leaves a submodule with any URL to whoever checks it out', async () => {
  await using box = await startGitBox()
  const { work, sha } = await box.filled()
  const url = 'ext::sh -c touch% /tmp/never'
  await work.git('update-index', '--add', '--cacheinfo', `160000,${sha},module`)
  await work.git('config', '-f', '.gitmodules', 'submodule.module.path', 'module')
  await work.git('config', '-f', '.gitmodules', 'submodule.module.url', url)
  await work.git('add', '.gitmodules')
  await work.git('commit', '--quiet', '-m', 'Add a module')
  const pushed = await work.try('push', 'origin', 'main')
  expect(pushed.code).toBe(0)
  expect(await box.pipelines()).toHaveLength(2)
})
