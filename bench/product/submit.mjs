// Submits one pipeline over a kept-alive connection.
import http from 'node:http'

const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })

export function submit({ url, token, project }) {
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
