// Appends 4 KiB at a time to each job's log over `PATCH /jobs/:id/trace`, a kept-alive connection a job.
import http from 'node:http'
import { nowUs, serve } from '../lib.mjs'

const chunk = Buffer.from(`${'y'.repeat(4095)}\n`)
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })
const lengths = new Map()

function append({ port, id, token }) {
  const from = lengths.get(id) ?? 0
  return new Promise((resolve, reject) => {
    const req = http.request({
      host: '127.0.0.1',
      port,
      path: `/api/v4/jobs/${id}/trace`,
      method: 'PATCH',
      agent,
      headers: {
        'JOB-TOKEN': token,
        'Content-Type': 'text/plain',
        'Content-Length': chunk.length,
        'Content-Range': `${from}-${from + chunk.length - 1}`,
      },
    })
    req.on('response', (res) => {
      res.resume()
      if (res.statusCode !== 202) reject(new Error(`status ${res.statusCode}`))
      lengths.set(id, from + chunk.length)
      res.on('end', resolve)
    })
    req.on('error', reject)
    req.end(chunk)
  })
}

serve({
  /** Jobs of a polling runner, each asked for and begun. */
  async take({ port, token, count }) {
    const jobs = []
    for (let i = 0; i < count; i++) {
      const answer = await fetch(`http://127.0.0.1:${port}/api/v4/jobs/request`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ token, system_id: 's_bench', info: { name: 'bench', features: { cancelable: true } } }),
      })
      if (answer.status !== 201) throw new Error(`status ${answer.status}`)
      const { id, token: jobToken } = await answer.json()
      jobs.push({ id, token: jobToken })
    }
    return jobs
  },
  /** Appends to all for `seconds`. Gives answered appends a second. */
  async append({ port, jobs, seconds }) {
    const started = nowUs()
    const until = started + seconds * 1e6
    let answered = 0
    await Promise.all(
      jobs.map(async (job) => {
        while (nowUs() < until) {
          await append({ port, ...job })
          answered++
        }
      }),
    )
    return answered / ((nowUs() - started) / 1e6)
  },
})
