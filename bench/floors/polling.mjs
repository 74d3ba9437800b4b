// 1,000 runners that ask again and again, and the least server that answers them: what push is instead of.
import http from 'node:http'
import express from 'express'
import { nowUs, serve } from '../lib.mjs'

const count = 1000

if (process.argv[2] === 'server') {
  const waiting = new Map()
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.post('/api/v4/jobs/request', express.json(), (req, res) => {
    const job = waiting.get(req.body.token)
    if (!job) return res.status(204).end()
    waiting.delete(req.body.token)
    res.status(201).json(job)
  })
  serve({
    start: () =>
      new Promise((resolve) => {
        const server = app.listen(0, '127.0.0.1', () => resolve(server.address().port))
      }),
    /** A job that one of them may take. */
    submit: () => void waiting.set(String(Math.floor(Math.random() * count)), { at: nowUs() }),
  })
} else {
  const waits = []
  const agent = new http.Agent({ keepAlive: true, maxSockets: count })
  const ask = (port, token) => {
    const body = JSON.stringify({ token, info: { name: 'gitlab-runner', features: { variables: true, image: true } } })
    const req = http.request(
      {
        host: '127.0.0.1',
        port,
        agent,
        method: 'POST',
        path: '/api/v4/jobs/request',
        headers: { 'Content-Type': 'application/json', 'Content-Length': body.length },
      },
      (res) => {
        let text = ''
        res.on('data', (data) => {
          text += data
        })
        res.on('end', () => {
          if (res.statusCode === 201) waits.push(nowUs() - JSON.parse(text).at)
        })
      },
    )
    req.on('error', () => {})
    req.end(body)
  }
  serve({
    start({ port, everyMs }) {
      for (let i = 0; i < count; i++) {
        setTimeout(() => setInterval(() => ask(port, String(i)), everyMs), Math.random() * everyMs)
      }
    },
    waits: () => waits.splice(0),
  })
}
