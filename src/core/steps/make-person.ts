/** A user for somebody who has come by an OpenID provider. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { OpenIdPerson } from '../openid.js'
import { isPathSegment } from '../project.js'
import { reservedPart } from '../reserved-paths.js'
import { findGroupByPath, lockPath } from '../store/projects.js'
import { findUserByName, insertUser, type User } from '../store/users.js'
import type { Tx } from '../store/write.js'
import { record } from './record.js'

const longestName = 60
const mostTries = 1000

/** Returns the user, under a name that nobody has. An address that the provider has not verified is not believed. */
export async function makePerson(core: Core, tx: Tx, person: OpenIdPerson, isAdmin: boolean): Promise<User> {
  const username = await freeName(tx, person.username ?? person.email?.split('@')[0] ?? '')
  const email = person.email ?? `${username}@noreply.invalid`
  const name = person.name?.trim().slice(0, 255) || username
  const user = await insertUser(tx, { username, name, email, isAdmin: isAdmin ? 1 : 0 })
  const data = { user: user.id, state: 'active', admin: isAdmin, issuer: person.issuer, by: user.id }
  await record(core, tx, { kind: 'user.changed', data })
  return user
}

/** The name as far as it may be one, with a number behind it if it is taken. */
async function freeName(tx: Tx, wanted: string): Promise<string> {
  const kept = wanted
    .normalize('NFKD')
    .replace(/[^\w.-]+/g, '')
    .replace(/^[^A-Za-z0-9]+|(?:\.git|\.atom|[^A-Za-z0-9])+$/gi, '')
    .slice(0, longestName)
  const base = kept === '' || !isPathSegment(kept) ? 'user' : kept
  for (let i = 1; i <= mostTries; i++) {
    const name = i === 1 ? base : `${base}${i}`
    if (reservedPart(name) !== undefined) continue
    await lockPath(tx, name)
    if (!(await findUserByName(tx, name)) && !(await findGroupByPath(tx, name))) return name
  }
  throw new SignalboxError('conflict', `there is no free name like ${base}: an administrator makes the user`)
}
