// Submits pipelines over one kept-alive connection each, paced or as many as are wanted at once.
import http from 'node:http'
import { nowUs, serve, sleep } from '../lib.mjs'

const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })

function submit({ url, token, project }) {
  return new Promise((resolve, reject) => {
    const body = '{"ref":"main"}'
    const req = http.request(`${url}/api/v4/projects/${project}/pipeline`, {
      method: 'POST',
      agent,
      headers: { 'PRIVATE-TOKEN': token, 'Content-Type': 'application/json', 'Content-Length': body.length },
    })
    req.on('response', (res) => {
      res.resume()
      res.on('end', () => (res.statusCode === 201 ? resolve() : reject(new Error(`status ${res.statusCode}`))))
    })
    req.on('error', reject)
    req.end(body)
  })
}

serve({
  /** One every `gapMs`; gives when each was sent. */
  async paced({ to, count, gapMs }) {
    const sent = []
    const answers = []
    for (let i = 0; i < count; i++) {
      sent.push(nowUs())
      answers.push(submit(to))
      await sleep(gapMs)
    }
    await Promise.all(answers)
    return sent
  },
  /** So many at a time until `count` are submitted; gives when the first was sent. */
  async burst({ to, count, atOnce }) {
    const started = nowUs()
    let left = count
    const worker = async () => {
      while (left-- > 0) await submit(to)
    }
    await Promise.all(Array.from({ length: atOnce }, worker))
    return started
  },
})
