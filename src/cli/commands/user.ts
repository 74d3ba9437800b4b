/** `signalbox user create|list|block|unblock|admin|password`. */
import { openContext } from '../context.js'
import { table } from '../terminal.js'
import { userId } from '../user-id.js'

interface User {
  id: number
  username: string
  name: string
  email?: string
  state: string
  is_admin?: boolean
}

/** Makes a user. */
export async function createUser(
  username: string,
  options: { name?: string; email: string; admin?: boolean; json?: boolean },
): Promise<void> {
  const { client, terminal, json } = openContext()
  const user = await client().post<User>('/api/v4/users', {
    username,
    name: options.name ?? username,
    email: options.email,
    admin: options.admin === true,
  })
  if (options.json) return json(user)
  terminal.say(`user ${user.id} ${user.username} created; a token: signalbox token create NAME --user ${user.username}`)
}

/** Prints all users, ten thousand at the most. */
export async function listUsers(options: { json?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  const users = await client().list<User>('/api/v4/users', 10_000)
  if (options.json) return json(users)
  table(
    terminal,
    ['ID', 'USER', 'STATE', 'ADMIN', 'NAME'],
    users.map((user) => [String(user.id), user.username, user.state, user.is_admin ? 'yes' : '', user.name]),
  )
}

/** Refuses a user's tokens from now on; what it has begun goes on. */
export async function blockUser(username: string): Promise<void> {
  const { client, terminal } = openContext()
  await client().post(`/api/v4/users/${await userId(client(), username)}/block`)
  terminal.say(`${username} is blocked`)
}

/** Lets a blocked user in again. */
export async function unblockUser(username: string): Promise<void> {
  const { client, terminal } = openContext()
  await client().post(`/api/v4/users/${await userId(client(), username)}/unblock`)
  terminal.say(`${username} is active`)
}

/** Makes a user an administrator, or takes that away. */
export async function setAdmin(username: string, options: { remove?: boolean }): Promise<void> {
  const { client, terminal } = openContext()
  const admin = options.remove !== true
  await client().put(`/api/v4/users/${await userId(client(), username)}`, { admin })
  terminal.say(`${username} is ${admin ? 'an' : 'no'} administrator`)
}

/** Prints a link by which a user sets a password once. */
export async function linkPassword(username: string, options: { json?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  const route = `/api/signalbox/v1/users/${await userId(client(), username)}/password-link`
  const link = await client().post<{ url: string; expires_at: string }>(route)
  if (options.json) return json(link)
  terminal.say(`good once, until ${link.expires_at}:`)
  terminal.out(link.url)
}
