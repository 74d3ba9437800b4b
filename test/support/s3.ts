/** A real S3 server in this process, with one bucket. */
import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import S3rver from 's3rver'
import type { S3Settings } from '../../src/core/blobs/s3-blobs.js'

export class ObjectStore implements AsyncDisposable {
  readonly #folder: string
  readonly #server: http.Server
  /** Requests that came, as `METHOD /path`. */
  readonly requests: string[] = []

  private constructor(server: S3rver, folder: string) {
    this.#folder = folder
    const answer = server.callback()
    this.#server = http.createServer((req, res) => {
      this.requests.push(`${req.method} ${req.url}`)
      answer(req, res)
    })
  }

  static async start(): Promise<ObjectStore> {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-s3-'))
    const s3 = new S3rver({ silent: true, directory: folder, configureBuckets: [{ name: 'ci-box', configs: [] }] })
    await s3.configureBuckets()
    const store = new ObjectStore(s3, folder)
    await new Promise<void>((resolve) => store.#server.listen(0, '127.0.0.1', resolve))
    return store
  }

  get settings(): S3Settings {
    return {
      bucket: 'ci-box',
      endpoint: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`,
      region: 'us-east-1',
      prefix: 'box/',
      pathStyle: true,
      credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
      directDownload: true,
      requestChecksum: 'when_supported',
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
