// The least server that takes a body to a synced file and gives it back.
import { createReadStream, createWriteStream } from 'node:fs'
import { open } from 'node:fs/promises'
import http from 'node:http'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { serve } from '../lib.mjs'

async function answer(file, req, res) {
  if (req.method === 'GET') {
    await pipeline(createReadStream(file), res)
    return
  }
  await pipeline(req, createWriteStream(file))
  const handle = await open(file)
  await handle.sync()
  await handle.close()
  res.writeHead(201).end()
}

serve({
  async start({ dir }) {
    const file = path.join(dir, 'body')
    const server = http.createServer((req, res) => {
      answer(file, req, res).catch(() => res.destroy())
    })
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { url: `http://127.0.0.1:${server.address().port}/` }
  },
})
