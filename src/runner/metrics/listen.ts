/** Serves the runner's figures: `GET /metrics`, without authentication, as GitLab Runner does on its `listen_address`. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { messageOf, RunnerError } from '../runner-error.js'
import type { MetricsPage } from './runner-metrics.js'

export interface MetricsDoor {
  url: string
  close(): Promise<void>
}

/** `address`: `HOST:PORT`, or `:PORT` for every address of the host. Throws `RunnerError` `usage` if it cannot listen there. */
export async function serveMetrics(address: string, metrics: MetricsPage): Promise<MetricsDoor> {
  const found = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(address)
  if (!found || Number(found[3]) > 65_535) throw new RunnerError('usage', `${JSON.stringify(address)} is not HOST:PORT`)
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, (req, res) => {
    const path = (req.url ?? '').split('?')[0]
    if (path !== '/metrics') {
      res.writeHead(404).end('not found\n')
      return
    }
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.writeHead(405, { allow: 'GET' }).end()
      return
    }
    metrics.page().then(
      ({ contentType, body }) =>
        res.writeHead(200, { 'content-type': contentType }).end(req.method === 'HEAD' ? '' : body),
      () => res.writeHead(500).end('the figures cannot be read\n'),
    )
  })
  // Nobody is refused for long; a scraper asks a few times a minute.
  server.maxConnections = 50
  await new Promise<void>((resolve, reject) => {
    const refuse = (error: unknown) => reject(new RunnerError('usage', `no metrics on ${address}: ${messageOf(error)}`))
    server.once('error', refuse)
    server.listen({ host: found[1] ?? (found[2] || undefined), port: Number(found[3]) }, () => {
      server.off('error', refuse)
      server.on('error', () => undefined)
      resolve()
    })
  })
  const { address: host, port, family } = server.address() as AddressInfo
  return {
    url: `http://${family === 'IPv6' ? `[${host}]` : host}:${port}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
