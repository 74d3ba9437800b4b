import { symlink } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createPipeline } from '../../src/core/operations/create-pipeline.js'
import { createShim } from '../../src/shim/app.js'
import type { Work } from '../git/support/git.js'
import { adminToken, type GitBox, startGitBox } from '../git/support/git-box.js'

let box: GitBox
let server: http.Server
let work: Work
/** Commits in their order. */
let shas: string[]
let project: { id: number }

const png = Buffer.from([0x89, 0x50, 0, 0x47])

beforeAll(async () => {
  box = await startGitBox()
  const shim = createShim(box.core)
  server = http.createServer((req, res) => shim.handle(req, res))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const filled = await box.filled({ 'a.txt': 'one\ntwo\n', 'src/deep/b.ts': 'b', 'src/c d.ts': 'c' })
  project = filled.project
  work = filled.work
  const second = await work.commit({ 'a.txt': 'one\n2\n', 'new.txt': 'n' }, 'Change\n\nmore of it')
  await work.git('tag', '-a', '-m', 'the first\nrelease', 'v1')
  await work.git('tag', 'light')
  await work.git('checkout', '--quiet', '-b', 'feature/x', filled.sha)
  const side = await work.commit({ 'side.txt': 's', 'pic.png': png.toString('latin1') }, 'Aside')
  await work.git('push', '--quiet', 'origin', 'main', 'feature/x', 'v1', 'light')
  shas = [filled.sha, second, side]
})
afterAll(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await box[Symbol.asyncDispose]()
})

async function get(path: string, headers: Record<string, string> = { 'PRIVATE-TOKEN': adminToken }) {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v4/projects/${project.id}/repository${path}`
  const response = await fetch(url, { headers })
  const bytes = Buffer.from(await response.arrayBuffer())
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  return {
    status: response.status,
    headers: response.headers,
    bytes,
    // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
    body: (isJson ? JSON.parse(bytes.toString()) : undefined) as any,
  }
}
const names = async (path: string) =>
  ((await get(path)).body as { name?: string; path?: string }[]).map((one) => one.path ?? one.name)

it('lists and shows branches and tags', async () => {
  const branches = await get('/branches')
  expect(branches.headers.get('x-total')).toBe('2')
  expect(branches.body).toMatchObject([
    { name: 'feature/x', default: false, commit: { id: shas[2], title: 'Aside', parent_ids: [shas[0]] } },
    { name: 'main', default: true, protected: true, commit: { id: shas[1], short_id: shas[1]!.slice(0, 8) } },
  ])
  expect(await names('/branches?search=^feat')).toEqual(['feature/x'])
  expect(await names('/branches?search=IN&per_page=1')).toEqual(['main'])
  expect((await get('/branches/feature%2Fx')).body).toMatchObject({ name: 'feature/x', commit: { id: shas[2] } })
  expect((await get('/branches/none')).body).toEqual({ message: '404 Branch Not Found' })
  expect((await get('/tags')).body).toMatchObject([
    { name: 'light', message: '', target: shas[1], commit: { id: shas[1] } },
    { name: 'v1', message: 'the first\nrelease', commit: { id: shas[1] } },
  ])
  expect((await get('/tags/v1')).body.target).not.toBe(shas[1])
  expect((await get('/tags/main')).body).toEqual({ message: '404 Tag Not Found' })
})

it('lists commits by ref, path and time, a page at a time', async () => {
  const ids = async (query: string) => ((await get(`/commits${query}`)).body as { id: string }[]).map((one) => one.id)
  expect(await ids('')).toEqual([shas[1], shas[0]])
  expect(await ids('?ref_name=feature/x')).toEqual([shas[2], shas[0]])
  expect(await ids('?path=a.txt&per_page=1')).toEqual([shas[1]])
  expect(await ids('?path=src')).toEqual([shas[0]])
  expect((await ids('?all=true')).length).toBe(3)
  expect(await ids('?since=2027-01-01T00:00:00Z')).toEqual([])
  const first = await get('/commits?per_page=1')
  expect([first.headers.get('x-next-page'), first.headers.get('x-total')]).toEqual(['2', null])
  const { body } = await get(`/commits/${shas[1]}`)
  expect(body).toMatchObject({
    id: shas[1],
    title: 'Change',
    message: 'Change\n\nmore of it\n',
    author_name: 'Ada',
    committer_name: 'Grace',
    parent_ids: [shas[0]],
    authored_date: '2026-01-01T01:00:00+01:00',
    committed_date: '2026-01-01T03:00:00+02:00',
    project_id: project.id,
    status: null,
    last_pipeline: null,
    stats: { additions: 2, deletions: 1, total: 3 },
  })
  expect((await get(`/commits/${shas[1]}?stats=false`)).body).not.toHaveProperty('stats')
  const listed = (await get('/commits?with_stats=true&per_page=1&ref_name=v1')).body
  expect(listed[0].stats).toEqual({ additions: 2, deletions: 1, total: 3 })
  expect((await get('/commits')).body[0]).not.toHaveProperty('stats')
  const about = { projectId: project.id, ref: 'main', source: 'api', user: box.admin, onInvalid: 'refuse' } as const
  const made = await createPipeline(box.core, { ...about, config: 'job: {script: x}' })
  expect((await get('/commits/main')).body).toMatchObject({
    id: shas[1],
    status: 'pending',
    last_pipeline: { id: made!.id, sha: shas[1], ref: 'main', status: 'pending' },
  })
  for (const name of [shas[1]!.slice(0, 7), 'main', 'v1']) {
    expect([name, (await get(`/commits/${name}`)).body.id]).toEqual([name, shas[1]])
  }
  expect((await get('/commits?ref_name=none')).status).toBe(404)
  expect((await get('/commits?since=yesterday')).body).toEqual({ error: 'since is invalid' })
})

it('shows what a commit changed, and compares two', async () => {
  expect((await get(`/commits/${shas[1]}/diff`)).body).toMatchObject([
    { old_path: 'a.txt', new_path: 'a.txt', new_file: false, diff: '@@ -1,2 +1,2 @@\n one\n-two\n+2\n' },
    {
      new_path: 'new.txt',
      new_file: true,
      a_mode: '000000',
      b_mode: '100644',
      diff: '@@ -0,0 +1 @@\n+n\n\\ No newline at end of file\n',
    },
  ])
  expect(((await get(`/commits/${shas[0]}/diff`)).body as object[]).length).toBe(3)
  const compared = (await get('/compare?from=main&to=feature%2Fx')).body
  expect(compared).toMatchObject({ compare_same_ref: false, commit: { id: shas[2] }, commits: [{ id: shas[2] }] })
  expect(compared.diffs.map((one: { new_path: string }) => one.new_path)).toEqual(['pic.png', 'side.txt'])
  expect(compared.diffs[0].diff).toBe('')
  const straight = (await get('/compare?from=main&to=feature%2Fx&straight=true')).body
  expect(straight.diffs.map((one: { new_path: string }) => one.new_path)).toContain('a.txt')
  expect((await get('/merge_base?refs[]=main&refs[]=feature%2Fx')).body.id).toBe(shas[0])
  expect((await get('/compare?from=main')).body).toEqual({ error: 'to is missing' })
})

it('lists folders, and pages through them both ways', async () => {
  expect(await names('/tree')).toEqual(['src', 'a.txt', 'new.txt'])
  expect(await names('/tree?path=src&ref=v1')).toEqual(['src/deep', 'src/c d.ts'])
  expect(await names('/tree?recursive=true&ref=feature/x')).toEqual([
    'a.txt',
    'pic.png',
    'side.txt',
    'src',
    'src/c d.ts',
    'src/deep',
    'src/deep/b.ts',
  ])
  const first = await get('/tree?pagination=keyset&per_page=2')
  const next = /page_token=([0-9a-f]{40})/.exec(first.headers.get('link') ?? '')?.[1]
  expect(await names(`/tree?pagination=keyset&per_page=2&page_token=${next}`)).toEqual(['new.txt'])
  expect((await get('/tree?path=none')).body).toEqual({ message: '404 invalid revision or path Not Found' })
  expect((await get('/tree?path=../x')).status).toBe(404)
  expect((await get('/tree?ref=none')).status).toBe(404)
})

it('gives files whole, as JSON and as they are', async () => {
  const file = await get('/files/src%2Fc%20d.ts?ref=main')
  expect(file.body).toMatchObject({
    file_name: 'c d.ts',
    file_path: 'src/c d.ts',
    size: 1,
    encoding: 'base64',
    content: 'Yw==',
    ref: 'main',
    commit_id: shas[1],
    last_commit_id: shas[0],
    execute_filemode: false,
  })
  expect(file.headers.get('x-gitlab-blob-id')).toBe(file.body.blob_id)
  expect((await get(`/blobs/${file.body.blob_id}`)).body).toMatchObject({ size: 1, content: 'Yw==' })
  expect((await get(`/blobs/${file.body.blob_id}/raw`)).bytes.toString()).toBe('c')
  const raw = await get('/files/a.txt/raw')
  expect([raw.bytes.toString(), raw.headers.get('content-type')]).toEqual(['one\n2\n', 'text/plain; charset=utf-8'])
  expect(raw.headers.get('content-disposition')).toMatch(/^attachment/)
  for (const path of ['none', 'src', '..%2Fx', ':(glob)*.txt', 'a.txt%00']) {
    expect([path, (await get(`/files/${encodeURI(path).replaceAll('%25', '%')}/raw`)).status]).toEqual([path, 404])
  }
  expect((await get(`/blobs/${'0'.repeat(40)}`)).body).toEqual({ message: '404 Blob Not Found' })
})

it('is nobody’s who may not read the project, and says so of an empty repository', async () => {
  const { token } = await box.user('stranger', ['read_api'])
  expect((await get('/branches', { 'PRIVATE-TOKEN': token })).body).toEqual({ message: '404 Project Not Found' })
  expect((await get('/tree', {})).status).toBe(404)
  const full = project
  project = await box.project('acme/empty')
  expect((await get('/branches')).body).toEqual([])
  expect((await get('/commits')).body).toEqual([])
  expect((await get('/tree')).body).toEqual({ message: '404 Tree Not Found' })
  project = full
})

it('shows a file that becomes a link as one that goes and one that comes', async () => {
  await work.git('checkout', '--quiet', '-b', 'turned', shas[1]!)
  await work.git('rm', '--quiet', 'a.txt')
  await symlink('new.txt', path.join(work.folder, 'a.txt'))
  await work.commit({ 'z.txt': 'last\n' }, 'Turn')
  await work.git('push', '--quiet', 'origin', 'turned')
  expect((await get('/commits/turned/diff')).body).toMatchObject([
    { old_path: 'a.txt', deleted_file: true, b_mode: '000000', diff: '@@ -1,2 +0,0 @@\n-one\n-2\n' },
    { new_path: 'a.txt', new_file: true, b_mode: '120000', diff: expect.stringContaining('+new.txt') },
    { new_path: 'z.txt', new_file: true, diff: '@@ -0,0 +1 @@\n+last\n' },
  ])
})
