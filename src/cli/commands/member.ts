/** `signalbox member add|list|remove`. */
import { type Context, openContext } from '../context.js'
import { dateOf } from '../date-of.js'
import { Exit, exitCodes } from '../exit.js'
import { levelName, levelOf } from '../levels.js'
import { table } from '../terminal.js'
import { userId } from '../user-id.js'

interface Member {
  id: number
  username: string
  name: string
  access_level: number
  expires_at: string | null
}

/** The project or group whose members they are. */
interface Place {
  project?: string
  group?: string
}

/** Lets a user in, or gives a member another level. */
export async function addMember(
  username: string,
  options: Place & { level: string; expires?: string; json?: boolean },
): Promise<void> {
  const context = openContext()
  const { client, terminal, json } = context
  const access_level = levelOf(options.level)
  const expires = options.expires === undefined ? {} : { expires_at: dateOf(options.expires) }
  const members = membersOf(context, options)
  const id = await userId(client(), username)
  const known = (await client().list<Member>(members, 10_000)).some((member) => member.id === id)
  const member = known
    ? await client().put<Member>(`${members}/${id}`, { access_level, ...expires })
    : await client().post<Member>(members, { user_id: id, access_level, ...expires })
  if (options.json) return json(member)
  const until = member.expires_at === null ? '' : ` until ${member.expires_at}`
  terminal.say(`${member.username} is ${levelName(member.access_level)}${until}`)
}

/** Prints the members, also those from groups above and from groups that are let in unless `direct`. */
export async function listMembers(options: Place & { direct?: boolean; json?: boolean }): Promise<void> {
  const context = openContext()
  const { client, terminal, json } = context
  const members = await client().list<Member>(`${membersOf(context, options)}${options.direct ? '' : '/all'}`, 10_000)
  if (options.json) return json(members)
  table(
    terminal,
    ['USER', 'LEVEL', 'EXPIRES', 'NAME'],
    members.map((one) => [one.username, levelName(one.access_level), one.expires_at ?? 'never', one.name]),
  )
}

/** Lets a member go. */
export async function removeMember(username: string, options: Place): Promise<void> {
  const context = openContext()
  const { client, terminal } = context
  await client().delete(`${membersOf(context, options)}/${await userId(client(), username)}`)
  terminal.say(`${username} is no member any more`)
}

function membersOf({ project }: Context, place: Place): string {
  if (place.group && place.project) throw new Exit(exitCodes.usage, '--project and --group exclude each other')
  return place.group
    ? `/api/v4/groups/${encodeURIComponent(place.group)}/members`
    : `/api/v4/projects/${project(place.project)}/members`
}
