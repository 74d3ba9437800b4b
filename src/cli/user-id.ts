/** Users by their names. */
import type { Client } from './client.js'
import { Exit, exitCodes } from './exit.js'

/** The id of the user of that name. Ends the command (3) where there is none. */
export async function userId(client: Client, name: string): Promise<number> {
  const [user] = await client.get<{ id: number }[]>(`/api/v4/users?username=${encodeURIComponent(name)}`)
  if (!user) throw new Exit(exitCodes.notFound, `no user ${name}`)
  return user.id
}
