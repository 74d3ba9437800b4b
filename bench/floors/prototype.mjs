// The least coordinator that keeps its promise: jobs in SQLite with a 2 KB payload and synchronous=FULL, pushed over gRPC
// streams, all writes of one turn of the event loop in one transaction, a job that meets an idle runner inserted assigned.
// With `log`, each life also makes, writes and syncs a file of that many bytes.
import { open } from 'node:fs/promises'
import path from 'node:path'
import grpc from '@grpc/grpc-js'
import Sqlite from 'better-sqlite3'
import { nowUs, serve } from '../lib.mjs'

const raw = (bytes) => bytes
const stream = (name) => ({
  path: `/bench.Prototype/${name}`,
  requestStream: true,
  responseStream: true,
  requestSerialize: raw,
  requestDeserialize: raw,
  responseSerialize: raw,
  responseDeserialize: raw,
})
const service = { feed: stream('Feed'), run: stream('Run') }

const roles = {
  server() {
    let insert
    let claim
    let finish
    let folder
    let logBytes = 0
    const idle = []
    const waiting = []
    let submitted = []
    let done = []
    let armed = false
    let commits = 0
    let transaction
    const push = (runner, id, body) => {
      const head = Buffer.alloc(8)
      head.writeDoubleLE(Number(id))
      runner.write(Buffer.concat([head, body]))
    }
    const flush = () => {
      armed = false
      for (const { runner } of done) idle.push(runner)
      const given = []
      transaction(given)
      commits++
      for (const { runner, id, body } of given) push(runner, id, body)
      for (const { ack } of submitted) ack(Buffer.alloc(1))
      submitted = []
      done = []
    }
    const arm = () => {
      if (armed) return
      armed = true
      setImmediate(flush)
    }
    const writeLog = async (id) => {
      const file = await open(path.join(folder, `${id}.log`), 'w')
      await file.write(Buffer.alloc(logBytes, 'x'))
      await file.datasync()
      await file.close()
    }
    const server = new grpc.Server()
    server.addService(service, {
      feed(call) {
        call.on('error', () => {})
        call.on('data', (body) => {
          submitted.push({ body, ack: (answer) => call.write(answer) })
          arm()
        })
      },
      run(call) {
        call.sendMetadata(new grpc.Metadata())
        call.on('error', () => {})
        idle.push(call)
        call.on('data', (message) => {
          const id = message.readDoubleLE()
          const end = () => {
            done.push({ runner: call, id })
            arm()
          }
          if (logBytes > 0) void writeLog(id).then(end)
          else end()
        })
      },
    })
    serve({
      start({ dir, log = 0 }) {
        folder = dir
        logBytes = log
        const db = new Sqlite(path.join(dir, 'prototype.db'))
        db.pragma('journal_mode = WAL')
        db.pragma('synchronous = FULL')
        db.exec(`create table jobs (id integer primary key, state integer not null, runner integer, payload blob not null);
                 create index pending on jobs (id) where state = 0`)
        insert = db.prepare('insert into jobs (state, runner, payload) values (?, ?, ?)')
        claim = db.prepare('update jobs set state = 1, runner = 1 where id = ? and state = 0')
        finish = db.prepare('update jobs set state = 2 where id = ? and state = 1')
        transaction = db.transaction((given) => {
          for (const { id } of done) finish.run(id)
          for (const { body } of submitted) {
            const runner = idle.pop()
            const id = insert.run(runner ? 1 : 0, runner ? 1 : null, body).lastInsertRowid
            if (runner) given.push({ runner, id, body })
            else waiting.push({ id, body })
          }
          while (waiting.length > 0 && idle.length > 0) {
            const next = waiting.shift()
            claim.run(next.id)
            given.push({ runner: idle.pop(), ...next })
          }
        })
        return new Promise((resolve, reject) => {
          server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
            error ? reject(error) : resolve(port),
          )
        })
      },
      stat: () => ({ commits }),
    })
  },
  /** The runners, and whoever submits. */
  clients() {
    let feed
    let finished = () => {}
    serve({
      async open({ port, count }) {
        const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure())
        feed = client.makeBidiStreamRequest(service.feed.path, raw, raw)
        feed.on('error', () => {})
        feed.on('data', () => {})
        await Promise.all(
          Array.from({ length: count }, async () => {
            const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
              'grpc.use_local_subchannel_pool': 1,
            })
            const call = client.makeBidiStreamRequest(service.run.path, raw, raw)
            call.on('error', () => {})
            call.on('data', (message) => {
              call.write(message.subarray(0, 8))
              finished()
            })
            await new Promise((resolve) => call.once('metadata', resolve))
          }),
        )
      },
      /** Lives a second, with at most `outstanding` jobs submitted and not finished. */
      lives({ count, outstanding }) {
        const body = Buffer.alloc(2048, ' ')
        const started = nowUs()
        let left = count
        let open = 0
        return new Promise((resolve) => {
          const more = () => {
            for (; left > 0 && open < outstanding; left--) {
              open++
              feed.write(body)
            }
            if (left === 0 && open === 0) resolve(count / ((nowUs() - started) / 1e6))
          }
          finished = () => {
            open--
            more()
          }
          more()
        })
      },
    })
  },
}

roles[process.argv[2]]()
