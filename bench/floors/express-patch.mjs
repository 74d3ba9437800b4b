// Express 5 taking trace PATCHes the plain way: the body appended to its job's file, synced, then answered.
import fs from 'node:fs'
import path from 'node:path'
import express from 'express'
import { serve } from '../lib.mjs'

let files = []

serve({
  start: ({ dir, jobs }) => {
    files = Array.from({ length: jobs }, (_, i) => fs.openSync(path.join(dir, `${i + 1}.log`), 'a'))
    const app = express()
    app.disable('x-powered-by')
    app.disable('etag')
    app.patch('/api/v4/jobs/:id/trace', express.raw({ type: () => true, limit: '1mb' }), (req, res) => {
      const file = files[Number(req.params.id) - 1]
      fs.write(file, req.body, (failed) => {
        if (failed) return res.status(500).end()
        fs.fdatasync(file, (error) => res.status(error ? 500 : 202).end())
      })
    })
    return new Promise((resolve) => {
      const server = app.listen(0, '127.0.0.1', () => resolve(server.address().port))
    })
  },
  stop() {
    for (const file of files) fs.closeSync(file)
  },
})
