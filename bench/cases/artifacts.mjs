// A 1 GiB artifact up and down again: how fast, beside a bare server that takes a body to a synced file and gives it back,
// and how much memory the coordinator takes for it. `MIB=100` for a smaller one.
import http from 'node:http'
import { Readable } from 'node:stream'
import { child, inFolder, nowUs, runs, scaled, sleep, summary } from '../lib.mjs'

const mebibyte = 1024 * 1024
const sizeMib = Number(process.env.MIB ?? scaled(1024, 2))
const config = JSON.stringify({ job: { script: 'x', artifacts: { paths: ['x'] } } })
const piece = Buffer.alloc(mebibyte, 'signalbox')
const times = Math.min(runs, 3)

export async function* measure() {
  const floor = await inFolder(async (dir) => {
    const server = child('floors/upload.mjs')
    const { url } = await server.ask('start', { dir })
    const sides = { up: [], down: [] }
    for (let i = 0; i < times; i++) {
      sides.up.push(await up(url, {}))
      sides.down.push(await down(url, {}))
    }
    await server.stop()
    return sides
  })
  const ours = await inFolder(async (dir) => {
    const server = child('product/server.mjs')
    const { http: base, token } = await server.ask('start', {
      dir,
      toml: `[limits]\nartifact_bytes = ${(sizeMib + 1) * mebibyte}\n`,
    })
    const [runner] = await server.ask('runners', { count: 1 })
    const project = await server.ask('project', { name: 'artifacts', config })
    const sides = { up: [], down: [], grown: [] }
    for (let i = 0; i < times; i++) {
      const job = await takeJob(base, token, project, runner.token)
      const url = `${base}/api/v4/jobs/${job.id}/artifacts`
      const before = await server.ask('memory')
      const peak = watch(server)
      sides.up.push(await up(url, { 'JOB-TOKEN': job.token }, true))
      sides.down.push(await down(url, { 'JOB-TOKEN': job.token }))
      sides.grown.push(((await peak()) - before) / mebibyte)
    }
    await server.stop()
    return sides
  })
  for (const way of ['up', 'down']) {
    yield {
      figure: `${sizeMib} MiB artifact ${way}`,
      unit: 'MiB/s',
      ours: summary(ours[way]),
      floor: summary(floor[way]),
      against: 'bare server, body to a synced file and back',
      better: 'more',
    }
  }
  yield {
    figure: `memory that a ${sizeMib} MiB artifact up and down takes`,
    unit: 'MiB',
    ours: summary(ours.grown.map((one) => Math.max(one, 0))),
    note: 'greatest resident size while it goes, less the one before',
  }
}

async function takeJob(base, token, project, runnerToken) {
  const headers = { 'PRIVATE-TOKEN': token, 'Content-Type': 'application/json' }
  const body = JSON.stringify({ ref: 'main' })
  await fetch(`${base}/api/v4/projects/${project}/pipeline`, { method: 'POST', headers, body })
  const poll = await fetch(`${base}/api/v4/jobs/request`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ token: runnerToken, info: { features: {} } }),
  })
  return poll.json()
}

/** Looks at the memory of a process again and again; gives what stops that and tells the most. */
function watch(server) {
  let most = 0
  let over = false
  const watching = (async () => {
    while (!over) {
      most = Math.max(most, await server.ask('memory'))
      await sleep(50)
    }
  })()
  return async () => {
    over = true
    await watching
    return most
  }
}

/** Gives MiB a second, until the answer is here. */
async function up(url, headers, multipart = false) {
  const started = nowUs()
  const boundary = 'end-of-part'
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="x.zip"\r\n\r\n`
  async function* body() {
    if (multipart) yield Buffer.from(head)
    for (let i = 0; i < sizeMib; i++) yield piece
    if (multipart) yield Buffer.from(`\r\n--${boundary}--\r\n`)
  }
  const type = multipart ? { 'Content-Type': `multipart/form-data; boundary=${boundary}` } : {}
  const status = await new Promise((resolve, reject) => {
    const request = http.request(url, { method: 'POST', headers: { ...headers, ...type } }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode))
    })
    request.on('error', reject)
    Readable.from(body(), { objectMode: false }).pipe(request)
  })
  if (status !== 201) throw new Error(`the upload was answered with ${status}`)
  return sizeMib / ((nowUs() - started) / 1e6)
}

async function down(url, headers) {
  const started = nowUs()
  const bytes = await new Promise((resolve, reject) => {
    let size = 0
    const request = http.get(url, { headers }, (response) => {
      response.on('data', (chunk) => {
        size += chunk.length
      })
      response.on('end', () => resolve(size))
    })
    request.on('error', reject)
  })
  if (bytes !== sizeMib * mebibyte) throw new Error(`${bytes} bytes came`)
  return sizeMib / ((nowUs() - started) / 1e6)
}
