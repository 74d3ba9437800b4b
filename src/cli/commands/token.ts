/** `signalbox token create|list|revoke`. */
import { type Context, openContext } from '../context.js'
import { dateOf } from '../date-of.js'
import { Exit, exitCodes } from '../exit.js'
import { levelOf } from '../levels.js'
import { table } from '../terminal.js'
import { userId } from '../user-id.js'

interface AccessToken {
  id: number
  name: string
  scopes: string[]
  active: boolean
  revoked: boolean
  expires_at: string | null
  user_id: number
}

interface Owner {
  user?: string
  project?: string
}

interface CreateOptions extends Owner {
  scopes: string
  expires?: string
  level?: string
  description?: string
  json?: boolean
}

/** Makes an access token, and prints it: it is not shown again. */
export async function createToken(name: string, options: CreateOptions): Promise<void> {
  const context = openContext()
  const { client, terminal, json } = context
  if (options.level !== undefined && !options.project) throw new Exit(exitCodes.usage, '--level goes with --project')
  const level = options.level === undefined ? undefined : levelOf(options.level)
  const scopes = options.scopes.split(',').map((scope) => scope.trim())
  const made = await client().post<AccessToken & { token: string }>(await newTokens(context, options), {
    name,
    scopes,
    ...(options.expires === undefined ? {} : { expires_at: dateOf(options.expires) }),
    ...(options.description === undefined ? {} : { description: options.description }),
    ...(level === undefined ? {} : { access_level: level }),
  })
  if (options.json) return json(made)
  const life = made.expires_at === null ? 'does not expire' : `expires on ${made.expires_at}`
  terminal.say(`token ${made.id} created, ${life}; it is shown this once:`)
  terminal.out(made.token)
}

/** Prints the active tokens, or all that there ever were. */
export async function listTokens(options: Owner & { all?: boolean; json?: boolean }): Promise<void> {
  const context = openContext()
  const { client, terminal, json } = context
  const query = new URLSearchParams(options.all ? {} : { state: 'active' })
  if (options.user && !options.project) query.set('user_id', String(await userId(client(), options.user)))
  const tokens = await client().list<AccessToken>(`${tokensOf(options)}?${query.toString()}`, 1000)
  if (options.json) return json(tokens)
  table(
    terminal,
    ['ID', 'STATE', 'EXPIRES', 'USER', 'SCOPES', 'NAME'],
    tokens.map((token) => [
      String(token.id),
      token.revoked ? 'revoked' : token.active ? 'active' : 'over',
      token.expires_at ?? 'never',
      String(token.user_id),
      token.scopes.join(','),
      token.name,
    ]),
  )
}

/** Revokes a token. */
export async function revokeToken(id: string, options: Pick<Owner, 'project'>): Promise<void> {
  const { client, terminal } = openContext()
  if (!/^\d+$/.test(id)) throw new Exit(exitCodes.usage, 'a token is named by its id, which `token list` shows')
  await client().delete(`${tokensOf(options)}/${id}`)
  terminal.say(`token ${id} revoked`)
}

function tokensOf({ project }: Owner): string {
  return project ? `/api/v4/projects/${encodeURIComponent(project)}/access_tokens` : '/api/v4/personal_access_tokens'
}

async function newTokens(context: Context, owner: Owner): Promise<string> {
  if (owner.project && owner.user) throw new Exit(exitCodes.usage, '--project and --user exclude each other')
  if (owner.project) return tokensOf(owner)
  if (!owner.user) return '/api/v4/user/personal_access_tokens'
  return `/api/v4/users/${await userId(context.client(), owner.user)}/personal_access_tokens`
}
