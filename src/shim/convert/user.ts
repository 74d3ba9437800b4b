/** Users, as gitlab lib/api/entities/user_basic.rb and user_public.rb show them. */
import type { User } from '../../core/store/users.js'
import type { UserEntity } from '../entities.js'
import { toIso } from './time.js'

/** A user as others see them. */
export function toUserBasic(user: User, externalUrl: string): UserEntity {
  return {
    id: user.id,
    username: user.username,
    name: user.name,
    state: user.state,
    locked: false,
    avatar_url: null,
    web_url: `${externalUrl}/${user.username}`,
  }
}

/** The user that a token belongs to: `GET /user`. */
export function toCurrentUser(user: User, externalUrl: string): object {
  return {
    ...toUserBasic(user, externalUrl),
    created_at: toIso(user.createdAt),
    bio: '',
    location: null,
    public_email: null,
    email: user.email,
    commit_email: user.email,
    confirmed_at: toIso(user.createdAt),
    is_admin: user.isAdmin === 1,
    can_create_group: user.isAdmin === 1,
    can_create_project: true,
    two_factor_enabled: false,
    external: false,
    identities: [],
  }
}
