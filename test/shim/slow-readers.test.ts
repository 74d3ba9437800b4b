/** A long log goes to readers who take it slowly: byte for byte, piece by piece, and nobody else waits for them. */
import { createHash } from 'node:crypto'
import http, { type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { expect, it } from 'vitest'
import { adminToken } from '../support/core.js'
import { type ShimBox, startShimBox, until } from './support/box.js'
import { startJob } from './support/running-job.js'

const mebibyte = 1024 * 1024
/** What a server may hold of an answer that is not taken: a piece of 256 KiB, and what follows before it is told to wait. */
const heldBytes = mebibyte / 2

/** 8 MiB of lines, no two alike. */
const log = Buffer.concat(
  Array.from({ length: 8 * 1024 }, (_, i) => Buffer.from(`line ${i} `.padEnd(1023, String(i % 10)).concat('\n'))),
)
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** The answer, of which nothing has been read. */
function ask(box: ShimBox, path: string): Promise<IncomingMessage> {
  const headers = { 'PRIVATE-TOKEN': adminToken }
  return new Promise((resolve, reject) => {
    const req = http.get({ host: '127.0.0.1', port: box.port, path: `/api/v4${path}`, headers, agent: false })
    req.on('response', resolve).on('error', reject)
  })
}

it('sends 8 MiB to readers who stop at every piece, holds little of it, and answers others meanwhile', async () => {
  await using box = await startShimBox('sqlite')
  const sockets = new Set<Socket>()
  box.server.on('connection', (socket: Socket) => sockets.add(socket))
  const job = await startJob(box)
  for (let at = 0; at < log.length; at += mebibyte) {
    const sent = await job.patch(`${at}-${at + mebibyte - 1}`, log.subarray(at, at + mebibyte))
    expect(sent.status).toBe(202)
  }
  const path = `/projects/${job.projectId}/jobs/${job.id}/trace`
  let held = 0
  /** Others are answered while nothing of the log is taken. */
  const othersAreAnswered = async () => {
    expect((await box.admin('GET', `/projects/${job.projectId}`)).status).toBe(200)
    held = Math.max(held, ...[...sockets].map((socket) => socket.writableLength))
  }
  /** Takes a few pieces whenever others were answered. */
  const take = async (answer: IncomingMessage) => {
    const pieces: Buffer[] = []
    for await (const piece of answer) {
      pieces.push(piece)
      if (pieces.length % 8 === 0) await othersAreAnswered()
    }
    return sha256(Buffer.concat(pieces))
  }

  const answers = await Promise.all([1, 2, 3].map(() => ask(box, path)))
  const waiting = () => [...sockets].filter((socket) => socket.writableNeedDrain).length
  await until(() => waiting() === answers.length)
  for (let i = 0; i < 20; i++) await othersAreAnswered()
  expect(waiting()).toBe(answers.length)
  answers.pop()!.destroy()
  await until(() => waiting() === answers.length)
  expect(await Promise.all(answers.map(take))).toEqual(answers.map(() => sha256(log)))

  expect((await job.put({ state: 'success', output: { bytesize: log.length } })).status).toBe(200)
  expect(await take(await ask(box, path))).toBe(sha256(log))
  expect(held).toBeGreaterThan(0)
  expect(held).toBeLessThan(heldBytes)
})
