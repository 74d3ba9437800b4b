import { once } from 'node:events'
import net from 'node:net'
import { expect, it } from 'vitest'
import { toPacket } from '../../src/git/pkt-line.js'
import { adminToken, type GitBox, startGitBox } from './support/git-box.js'
import { basic, bulk, gitGroups, noGitGroups, open, send, want } from './support/raw.js'

const refs = { path: '/acme/app.git/info/refs?service=git-upload-pack' }

/** A clone whose client has read the first bytes, and reads no further. */
async function hang(box: GitBox, sha: string) {
  const { request, response } = open(box, want(sha))
  const answer = await response
  return { answer, leave: () => request.destroy() }
}

const largeFile = () => ({ large: bulk(12_000_000) })

it('runs so many git processes at once, lets a few wait, and sends the others away', async () => {
  await using box = await startGitBox({ atOnce: 3, queue: 2 })
  const { sha } = await box.filled(largeFile())
  const clients = await Promise.all([hang(box, sha), hang(box, sha), hang(box, sha)])
  expect(gitGroups(box).size).toBe(3)
  const more = [1, 2, 3, 4, 5].map(() => send(box, refs))
  const refused: number[] = []
  const enough = new Promise<void>((resolve) => {
    for (const one of more) {
      void one.then(({ status, headers }) => {
        if (status === 503) refused.push(Number(headers['retry-after']))
        if (refused.length === 3) resolve()
      })
    }
  })
  await enough
  expect(refused).toEqual([5, 5, 5])
  expect(gitGroups(box).size).toBe(3)
  for (const { leave } of clients) leave()
  expect((await Promise.all(more)).filter(({ status }) => status === 200)).toHaveLength(2)
  await box.settled()
  await noGitGroups(box)
  expect(box.errors).toEqual([])
})

it('ends every process of a client that hangs', async () => {
  await using box = await startGitBox()
  const { sha } = await box.filled(largeFile())
  const { answer } = await hang(box, sha)
  expect(gitGroups(box).size).toBe(1)
  answer.on('error', () => undefined)
  box.clock.advance(50_000)
  await box.settled()
  await noGitGroups(box)
})

it('ends the push of a client that goes halfway, and leaves nothing of it', async () => {
  await using box = await startGitBox()
  const { sha, work, project } = await box.filled()
  const next = await work.commit({ large: bulk(4_000_000) })
  const command = toPacket(`${sha} ${next} refs/heads/main\0report-status side-band-64k`)
  const head =
    `POST /acme/app.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic(adminToken)}\r\n` +
    'Content-Type: application/x-git-receive-pack-request\r\nContent-Length: 4000000\r\n\r\n'
  const socket = net.connect(box.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(head)
  socket.write(Buffer.concat([command, Buffer.from('0000PACK\0\0\0\x02\0\0\0\x03', 'latin1')]))
  const [req] = await once(box.server, 'request')
  while (gitGroups(box).size === 0) await new Promise(setImmediate)
  const gone = new Promise((resolve) => req.once('close', resolve))
  socket.destroy()
  await gone
  await box.settled()
  await noGitGroups(box)
  expect(box.repositories.readRef(project, 'refs/heads/main')).toBe(sha)
  expect(await box.pipelines()).toHaveLength(1)
  await work.git('push', '--quiet', 'origin', 'main')
  expect(await box.pipelines()).toHaveLength(2)
})

it('reads a fetch request to its end before it takes a slot, and gives up on one that never ends', async () => {
  await using box = await startGitBox({ atOnce: 1, queue: 0 })
  await box.filled()
  const socket = net.connect(box.port, '127.0.0.1')
  socket.write(
    `POST /acme/app.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic(adminToken)}\r\n` +
      'Content-Type: application/x-git-upload-pack-request\r\nContent-Length: 100\r\n\r\n0032want',
  )
  await once(box.server, 'request')
  expect((await send(box, refs)).status).toBe(200)
  box.clock.advance(50_000)
  await once(socket, 'close')
  await box.settled()
})

it('refuses fetch requests that would fill the memory', async () => {
  await using box = await startGitBox({ heldBytes: 1000 })
  const { sha } = await box.filled()
  const many = Buffer.from(`0032want ${sha}\n`.repeat(100))
  expect((await send(box, { ...want(sha), body: many })).status).toBe(503)
  expect((await send(box, want(sha))).status).toBe(200)
})

it('ends what is under way when it is closed, and serves nothing afterwards', async () => {
  await using box = await startGitBox()
  const { sha } = await box.filled(largeFile())
  const { answer } = await hang(box, sha)
  const cut = once(answer, 'error')
  answer.resume()
  await box.door.close()
  await cut
  await noGitGroups(box)
  expect((await send(box, refs)).status).toBe(503)
  await box.door.close()
})

it('refuses a push that is larger than allowed', async () => {
  await using box = await startGitBox({ pushBytes: 1_000_000 })
  const { work, project, sha } = await box.filled({ a: '1' })
  await work.commit({ large: bulk(3_000_000) })
  const { code, stderr } = await work.try('push', 'origin', 'main')
  expect([code, stderr]).toEqual([1, expect.stringContaining('413')])
  expect(box.repositories.readRef(project, 'refs/heads/main')).toBe(sha)
  await box.settled()
  await noGitGroups(box)
})
