/** Signing in by an OpenID provider: what it says of a person, and what follows from that. */
import type { LevelName } from './member.js'

/** Who somebody is at a provider, for good: names and addresses change hands, the subject does not (OpenID Connect Core §2). */
export interface Identity {
  issuer: string
  subject: string
}

/** What a provider has said of somebody who has just signed in there. */
export interface OpenIdPerson extends Identity {
  /** What they would like to be called; they may have chosen it themselves. */
  username: string | undefined
  name: string | undefined
  /** An address that the provider has verified, and only such a one. */
  email: string | undefined
  groups: readonly string[]
}

/** What is made of it here. */
export interface OpenIdRules {
  /** Whoever comes for the first time gets a user. */
  signUp: boolean
  /** Who has a user with the same verified address gets that one. */
  linkByEmail: boolean
  /** The very first person who comes by a provider becomes administrator. */
  firstIsAdmin: boolean
  /** Members of this group of the provider are administrators, others are not; undefined: it decides nothing. */
  adminGroup: string | undefined
  /** Which levels the provider's groups give in ours. */
  roles: readonly OpenIdRole[]
}

export interface OpenIdRole {
  /** A group of the provider. */
  claim: string
  /** Full path of a group of ours. */
  group: string
  level: LevelName
}

/** Longest subject, in characters: OpenID Connect Core §2 allows no more. */
export const longestSubject = 255

/** An OpenID provider as the settings have it. */
export interface OpenIdSettings {
  /** What it is called in addresses. */
  name: string
  /** What people read on its button. */
  label: string
  issuer: string
  clientId: string
  /** Empty: the client is a public one, and PKCE is all that it shows. */
  clientSecret: string
  scopes: readonly string[]
  /** The claim with the person's groups. */
  groupsClaim: string
  /** Signing out here goes on to the provider. */
  signOut: boolean
  rules: OpenIdRules
}
