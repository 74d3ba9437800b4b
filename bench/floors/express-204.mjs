// Minimal Express 5 with its JSON parser, answering 204 to a runner's poll.
import express from 'express'
import { serve } from '../lib.mjs'

serve({
  start: () => {
    const app = express()
    app.disable('x-powered-by')
    app.disable('etag')
    app.post('/api/v4/jobs/request', express.json(), (req, res) => {
      res.status(req.body.token ? 204 : 403).end()
    })
    return new Promise((resolve) => {
      const server = app.listen(0, '127.0.0.1', () => resolve(server.address().port))
    })
  },
})
