import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { createShim } from '../../src/shim/app.js'
import { adminToken, type GitBox, startGitBox } from '../git/support/git-box.js'

/** A server with a repository, for clients that look into it. */
export class GitScene implements AsyncDisposable {
  readonly token = adminToken
  readonly path: string
  readonly #box: GitBox
  readonly #server: http.Server

  constructor(box: GitBox, server: http.Server, path: string) {
    this.#box = box
    this.#server = server
    this.path = path
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
    await this.#box[Symbol.asyncDispose]()
  }
}

const files = { 'README.md': 'read', 'src/a b.txt': 'text' }

/** Branches `feature/x` and `main`, with `src/a b.txt` in both, `more` files, and `refs` that are pushed besides. */
export async function startGitScene(more: Record<string, string> = {}, refs: string[] = []): Promise<GitScene> {
  const box = await startGitBox()
  const shim = createShim(box.core)
  const server = http.createServer((req, res) => shim.handle(req, res))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { project, work } = await box.filled({ ...files, ...more })
  await work.git('push', '--quiet', 'origin', 'main:feature/x', ...refs)
  return new GitScene(box, server, project.fullPath)
}

/** What every client says of it. */
export const seen = [
  'branches feature/x main',
  'tree src/a b.txt',
  'file text',
  'hooks https://example.com/hook true',
  'groups acme',
  'users root',
]
