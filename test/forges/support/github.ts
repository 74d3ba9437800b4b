/**
 * A double of GitHub, held to GitHub's own description of its API (`@octokit/openapi`): what it is asked must fit the schema of
 * the request, what it answers is the example that the description gives, with our values, and must fit too.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { faults, type Json } from '../../openapi/fits.js'
import { type Asked, Double, type Given } from './double.js'

/** OpenAPI 3.0 says null and alternatives in ways of its own. */
function revive(_: string, value: Json): Json {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value.oneOf)) value.anyOf = value.oneOf
  if (value.nullable === true && typeof value.type === 'string') value.type = [value.type, 'null']
  return value
}

let description: Json
function load(): Json {
  const file = createRequire(import.meta.url).resolve('@octokit/openapi/generated/api.github.com.json')
  description ??= JSON.parse(readFileSync(file, 'utf8'), revive)
  return description
}

const deref = (one: Json): Json =>
  one?.$ref
    ? one.$ref
        .slice(2)
        .split('/')
        .reduce((at: Json, key: string) => at[key], load())
    : one

export class GitHubDouble extends Double {
  readonly prefix = '/api/v3'
  fullName = 'acme/app'
  id = 4711
  cloneUrl = 'https://git.example.com/acme/app.git'
  /** Rights that the token has. */
  rights = new Set(['code', 'hooks', 'statuses'])
  /** What did not fit the description. */
  readonly wrong: string[] = []

  answer({ method, path, body, headers }: Asked): Given {
    if (headers.authorization !== `Bearer ${this.token}`) return this.#error(401, 'Bad credentials')
    if (this.gone) return this.#error(404, 'Not Found')
    // Not described, but where GitHub's redirects lead.
    if (path === `/repositories/${this.id}`) return this.#repository()
    const [, owner, name, ...rest] = path.split('?')[0]!.split('/').slice(1)
    if (`${owner}/${name}` !== this.fullName) {
      const location = `${this.url}${this.prefix}/repositories/${this.id}`
      return { status: method === 'GET' ? 301 : 307, headers: { location }, body: { message: 'Moved Permanently' } }
    }
    const below = `/${rest.join('/')}`
    if (below === '/') return this.#repository()
    if (below === '/branches') {
      return this.rights.has('code')
        ? this.#described('GET', '/branches', 200, body, [])
        : this.#error(404, 'Not Found')
    }
    if (below.startsWith('/hooks')) return this.#hooks(method, rest[1], body)
    if (method === 'POST' && rest[0] === 'statuses') return this.#status(rest[1]!, body)
    return this.#error(404, 'Not Found')
  }

  #hooks(method: string, id: string | undefined, body: Json): Given {
    if (!this.rights.has('hooks')) return this.#error(404, 'Not Found')
    const shown = (hook: Json) => ({ ...hook, config: { ...hook.config, secret: '********' } })
    if (method === 'GET') return this.#described('GET', '/hooks', 200, body, [...this.hooks.values()].map(shown))
    if (method === 'POST') {
      const made = { ...this.#example('POST', '/hooks', 201), ...body, id: ++this.lastHook }
      this.hooks.set(String(made.id), made)
      return this.#described('POST', '/hooks', 201, body, shown(made))
    }
    if (!this.hooks.has(id!)) return this.#error(404, 'Not Found')
    if (method === 'DELETE') {
      this.hooks.delete(id!)
      return { status: 204 }
    }
    const edited = { ...this.hooks.get(id!), ...body }
    this.hooks.set(id!, edited)
    return this.#described('PATCH', '/hooks/{hook_id}', 200, body, shown(edited))
  }

  #status(sha: string, body: Json): Given {
    if (!this.rights.has('statuses')) return this.#error(403, 'Resource not accessible by personal access token')
    if (/^0+$/.test(sha)) return this.#error(422, `No commit found for SHA: ${sha}`)
    this.told.push({ sha, ...body })
    const made = { ...this.#example('POST', '/statuses/{sha}', 201), ...body }
    return this.#described('POST', '/statuses/{sha}', 201, body, made)
  }

  #repository(): Given {
    const { id, fullName, cloneUrl } = this
    const found = {
      ...this.#example('GET', '', 200),
      id,
      full_name: fullName,
      clone_url: cloneUrl,
      default_branch: 'main',
    }
    return this.#described('GET', '', 200, undefined, found)
  }

  #error(status: number, message: string): Given {
    return { status, body: { message, documentation_url: 'https://docs.github.com/rest' } }
  }

  #operation(method: string, path: string): Json {
    return load().paths[`/repos/{owner}/{repo}${path}`][method.toLowerCase()]
  }

  #example(method: string, path: string, status: number): Json {
    const { content } = deref(this.#operation(method, path).responses[status])
    const { examples } = content['application/json']
    return structuredClone(deref(Object.values(examples)[0]).value)
  }

  /** What GitHub's own example lacks of what GitHub's own schema says. */
  #known(method: string, path: string, status: number, schema: Json): ReadonlySet<string> {
    const example = this.#example(method, path, status)
    return new Set(faults(load(), schema, example, `${method} ${path} answered`))
  }

  /** The answer, once both sides of the exchange have been held to the description. */
  #described(method: string, path: string, status: number, asked: Json, body: Json): Given {
    const operation = this.#operation(method, path)
    const request = operation.requestBody?.content['application/json'].schema
    const answer = deref(operation.responses[status]).content['application/json'].schema
    const found = [
      ...(request && asked !== undefined ? faults(load(), request, asked, `${method} ${path} asked`) : []),
      ...faults(load(), answer, body, `${method} ${path} answered`),
    ]
    this.wrong.push(...found.filter((one) => !this.#known(method, path, status, answer).has(one)))
    return { status, body }
  }
}
