/** A double of Gitea, made of what a real one (1.27.3) has answered: also where that is not what one would expect. */
import type { Json } from '../../openapi/fits.js'
import { type Asked, Double, type Given } from './double.js'

const refusal = (url: string, message: string): Json => ({ message, url: `${url}/api/swagger` })

export class GiteaDouble extends Double {
  readonly prefix = '/api/v1'
  /** Scopes of the token. */
  scopes = new Set(['write:repository'])
  commits = new Set<string>()
  readonly secrets = new Map<string, string>()

  answer({ method, path, headers, body }: Asked): Given {
    if (path === '/version') return { status: 200, body: { version: '1.27.3' } }
    if (headers.authorization !== `token ${this.token}`) {
      return { status: 401, body: refusal(this.url, 'invalid username, password or token') }
    }
    const [, , owner, name, what, key] = path.split('?')[0]!.split('/')
    if (`${owner}/${name}` !== 'boss/app') return { status: 404, body: refusal(this.url, 'not found') }
    if (method !== 'GET' && !this.scopes.has('write:repository')) {
      const message = 'token does not have at least one of required scope(s), required=[write:repository]'
      return { status: 403, body: refusal(this.url, message) }
    }
    if (what === undefined) return { status: 200, body: this.#repository() }
    if (what === 'hooks') return this.#hooks(method, key, body)
    if (what === 'statuses' && method === 'POST') return this.#status(key!, body)
    return { status: 404, body: refusal(this.url, 'not found') }
  }

  #repository(): Json {
    return {
      ...{ id: 1, name: 'app', full_name: 'boss/app', empty: false, private: false, fork: false },
      ...{ html_url: `${this.url}/boss/app`, clone_url: `${this.url}/boss/app.git`, default_branch: 'main' },
      permissions: { admin: true, push: true, pull: true },
    }
  }

  /** The secret of one that is edited stays as it was, and no answer shows any. */
  #hooks(method: string, id: string | undefined, body: Json): Given {
    if (method === 'GET') return { status: 200, body: [...this.hooks.values()] }
    if (method === 'POST') {
      const { secret, ...config } = body.config
      const made = {
        id: ++this.lastHook,
        type: body.type,
        branch_filter: '*',
        config,
        events: body.events,
        active: true,
      }
      this.hooks.set(String(made.id), made)
      this.secrets.set(String(made.id), secret)
      return { status: 201, body: made }
    }
    if (!this.hooks.has(id!)) return { status: 404, body: refusal(this.url, 'not found') }
    if (method === 'DELETE') {
      this.hooks.delete(id!)
      return { status: 204 }
    }
    const { secret: _, ...config } = body.config
    this.hooks.set(id!, { ...this.hooks.get(id!), ...body, config })
    return { status: 200, body: this.hooks.get(id!) }
  }

  /** A commit that it does not have is an error of its own. */
  #status(sha: string, body: Json): Given {
    if (!this.commits.has(sha)) {
      const message = `GetCommit[${sha}]: object does not exist [id: ${sha}, rel_path: ]`
      return { status: 500, body: refusal(this.url, message) }
    }
    this.told.push({ sha, ...body })
    return { status: 201, body: { id: this.told.length, status: body.state, context: body.context } }
  }
}
