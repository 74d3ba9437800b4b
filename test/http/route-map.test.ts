/** The map of routes finds what Express finds, or leaves the address to it. */
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { expect, it } from 'vitest'
import type { Route } from '../../src/http/call.js'
import { RouteMap } from '../../src/http/route-map.js'

const handle = async () => undefined
const route = (method: Route['method'], path: string): Route => ({ method, path, streams: false, handle })

const routes: readonly Route[] = [
  route('get', '/jobs/:id'),
  route('get', '/jobs/request'),
  route('post', '/jobs/request'),
  route('get', '/projects/:id/jobs/:job_id/artifacts/*path'),
  route('get', '/projects/:id/jobs/:job_id/artifacts/keep'),
  route('get', '/projects/:id/jobs/:job_id/:what'),
  route('post', '/projects/:id/jobs/:job_id/artifacts/keep'),
  route('get', '/projects/:id/jobs/latest/trace'),
  route('get', '/groups/:name.json'),
  route('get', '/:anything/end'),
  route('get', '/jobs/end'),
]

/** Which of the routes Express takes, by its place in the list; -1: none. */
async function expressOn(
  base: string,
): Promise<{ ask: (method: string, url: string) => Promise<number> } & AsyncDisposable> {
  const app = express()
  app.set('query parser', false)
  app.set('case sensitive routing', true)
  for (const [i, one] of routes.entries())
    app[one.method](base + one.path, (req, res) => void res.json([i, req.params]))
  app.use(((_error, _req, res, _next) => void res.status(400).json([-1])) as express.ErrorRequestHandler)
  app.use((_req, res) => void res.status(404).json([-1]))
  const server = http.createServer(app).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  return {
    ask: (method, url) =>
      new Promise((resolve, reject) => {
        const sent = http.request({ port, host: '127.0.0.1', method, path: url }, (res) => {
          let text = ''
          res.setEncoding('utf8').on('data', (part) => (text += part))
          res.on('end', () => resolve(JSON.parse(text)))
        })
        sent.on('error', reject).end()
      }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const words = [
  'jobs',
  'request',
  'projects',
  '7',
  'a%2Fb',
  'artifacts',
  'keep',
  'latest',
  'trace',
  'end',
  'Jobs',
  '',
  'x.json',
  '%zz',
  'groups',
]

it('agrees with Express on every address that it answers, and answers the plain ones', async () => {
  const base = '/api/v4'
  await using real = await expressOn(base)
  const map = new RouteMap(base, routes)
  let seed = 7
  const pick = (most: number) => {
    seed = (seed * 1103515245 + 12345) % 2147483648
    return Math.floor((seed / 2147483648) * most)
  }
  const addresses = routes.map(({ path }) => path.replace(/[:*]\w+/g, '7'))
  for (let i = 0; i < 1500; i++) {
    const parts = Array.from({ length: 1 + pick(6) }, () => words[pick(words.length)])
    addresses.push(`/${parts.join('/')}${['', '', '?a=b/c', '/'][pick(4)]}`)
  }
  const answered = new Set<number>()
  for (const address of addresses) {
    for (const method of ['GET', 'POST']) {
      const found = map.find(method, base + address)
      if (!found) continue
      const place = routes.indexOf(found.route)
      expect([place, found.names], `${method} ${address}`).toEqual(await real.ask(method, base + address))
      answered.add(place)
    }
  }
  // Not those that take several segments, nor what might be found behind them, nor part of a segment as a name.
  expect([...answered].sort((a, b) => a - b)).toEqual([0, 2, 6])
})

it('leaves to Express what is not its own', () => {
  const map = new RouteMap('/api/v4', routes)
  for (const url of [
    '/api/v4',
    '/api/v4/',
    '/api/v5/jobs/1',
    '/api/v4/jobs/%zz',
    '/api/v4/jobs/1/',
    '/api/v4/jobs/1#x',
    'http://h/api/v4/jobs/1',
  ]) {
    expect(map.find('GET', url), url).toBeUndefined()
  }
  expect(map.find('HEAD', '/api/v4/jobs/1')).toBeUndefined()
  expect(map.find('GET', '/api/v4/jobs/a%2Fb?x=/y')?.names).toEqual({ id: 'a/b' })
})
