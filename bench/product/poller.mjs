// Polls for jobs as fast as it is answered: 64 kept-alive connections, each runner token in turn.
import http from 'node:http'
import { nowUs, serve } from '../lib.mjs'

const features = Object.fromEntries(
  ['variables', 'image', 'services', 'artifacts', 'cache', 'shared', 'upload_multiple_artifacts', 'refspecs', 'masking']
    .concat([
      'raw_variables',
      'artifacts_exclude',
      'trace_checksum',
      'cancelable',
      'cancel_gracefully',
      'return_exit_code',
    ])
    .concat(['two_phase_job_commit', 'trace_reset', 'trace_size', 'multi_build_steps', 'vault_secrets'])
    .map((name) => [name, true]),
)

const bodyFor = (token, i) =>
  JSON.stringify({
    info: {
      name: 'gitlab-runner',
      version: '19.4.0',
      revision: 'd79f3e7b',
      platform: 'linux',
      architecture: 'amd64',
      executor: 'docker',
      shell: 'bash',
      features,
    },
    token,
    system_id: `s_${String(i).padStart(12, '0')}`,
  })

serve({
  /** Each runner once, so that all are known; then for `seconds`. Gives answers a second. */
  async poll({ port, tokens, seconds, warm }) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })
    const bodies = tokens.map(bodyFor)
    let next = 0
    let answered = 0
    const one = () =>
      new Promise((resolve, reject) => {
        const body = bodies[next++ % bodies.length]
        const req = http.request({
          host: '127.0.0.1',
          port,
          path: '/api/v4/jobs/request',
          method: 'POST',
          agent,
          headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
        })
        req.on('response', (res) => {
          res.resume()
          if (res.statusCode !== 204) reject(new Error(`status ${res.statusCode}`))
          res.on('end', resolve)
        })
        req.on('error', reject)
        req.end(body)
      })
    if (warm) for (let i = 0; i < bodies.length; i++) await one()
    const started = nowUs()
    const until = started + seconds * 1e6
    const worker = async () => {
      while (nowUs() < until) {
        await one()
        answered++
      }
    }
    await Promise.all(Array.from({ length: 64 }, worker))
    agent.destroy()
    return answered / ((nowUs() - started) / 1e6)
  },
})
