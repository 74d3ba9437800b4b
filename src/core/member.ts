/** Members of groups and projects, and the levels that they can have: https://docs.gitlab.com/user/permissions/ */

/** Levels of access, as GitLab counts them: https://docs.gitlab.com/api/members/#roles */
export const levels = { guest: 10, planner: 15, reporter: 20, developer: 30, maintainer: 40, owner: 50 } as const

export type LevelName = keyof typeof levels

/** Every level that a member can have. */
export const accessLevels: readonly number[] = Object.values(levels)

/** The level's name in lower case; undefined for a number that is none. */
export function levelName(level: number): LevelName | undefined {
  return (Object.keys(levels) as LevelName[]).find((name) => levels[name] === level)
}

/** Where members are: a group, with all groups and projects below it, or one project. */
export type Place = { groupId: number } | { projectId: number }

export interface Member {
  userId: number
  /** One of `accessLevels`. */
  accessLevel: number
  /** Milliseconds since 1970, the beginning of a day in UTC; null: for good. */
  expiresAt: number | null
  createdById: number | null
  createdAt: number
  /** The OpenID provider whose groups it follows from; null or absent: somebody has let the user in. */
  issuer?: string | null
}

/** All members of a group, with its parents' members, are let into a place with at most this level. */
export interface Share {
  sharedWithId: number
  accessLevel: number
  expiresAt: number | null
}
