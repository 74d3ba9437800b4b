/**
 * Branches and tags that only some may change. Until somebody says otherwise the default branch is protected: maintainers
 * push to it, nobody by force, and nobody deletes it.
 * https://docs.gitlab.com/user/project/repository/branches/protected/, https://docs.gitlab.com/user/project/protected_tags/
 */
import { isOfFork } from './forge.js'
import { levels } from './member.js'
import type { Project, ResolvedRef } from './project.js'

/** Who may: nobody at all; developers or maintainers and above; administrators. https://docs.gitlab.com/api/protected_branches/ */
export const protectionLevels = [0, 30, 40, 60] as const
export type ProtectionLevel = (typeof protectionLevels)[number]

export interface Protection {
  /** Of its project only. */
  id: number
  kind: 'branch' | 'tag'
  /** A name, or a pattern in which `*` is any run of characters. */
  name: string
  /** Who may push to the branch, or make the tag. */
  push: ProtectionLevel
  /** Who may merge into the branch. */
  merge: ProtectionLevel
  /** Whether who may push may do so by force. */
  force: boolean
}

type Protected = Pick<Project, 'defaultBranch' | 'protections'>
type Ref = Pick<ResolvedRef, 'name' | 'tag'>

/** What is protected in a project. */
export function protectionsOf({ defaultBranch, protections }: Protected): Protection[] {
  if (protections !== null) return JSON.parse(protections) as Protection[]
  return [{ id: 1, kind: 'branch', name: defaultBranch, push: 40, merge: 40, force: false }]
}

/** The protections that a branch or tag falls under. */
function protectionsFor(project: Protected, { name, tag }: Ref): Protection[] {
  // Whatever the patterns are: requests of forks are nobody's branch.
  if (!tag && isOfFork({ ref: name })) return []
  if (project.protections === null && (tag || name !== project.defaultBranch)) return []
  return protectionsOf(project).filter((one) => (one.kind === 'tag') === tag && matchesName(one.name, name))
}

/** Whether changes of the branch or tag, and what runs on it, are for some only. */
export function isProtected(project: Protected, ref: Ref): boolean {
  return protectionsFor(project, ref).length > 0
}

/** An administrator's level where one is asked for; nobody has the one above. */
const administrators = 60
const nobody = 100

/**
 * The level from which on somebody may push to the branch, or make the tag; for what is not protected a developer's. Of several
 * protections the most permissive counts.
 */
export function pushLevel(project: Protected, ref: Ref): number {
  return lowest(protectionsFor(project, ref).map((one) => one.push))
}

/** The level from which on somebody may run and change what runs on the ref: who may push to it or merge into it. */
export function updateLevel(project: Protected, ref: Ref): number {
  return lowest(protectionsFor(project, ref).flatMap((one) => (ref.tag ? [one.push] : [one.push, one.merge])))
}

/** The level from which on somebody may merge into the branch. */
export function mergeLevel(project: Protected, branch: string): number {
  return lowest(protectionsFor(project, { name: branch, tag: false }).map((one) => one.merge))
}

/**
 * Whether what merging one branch into another gives may run as the first: not with the secrets of a protected branch where others may
 * write the second. https://docs.gitlab.com/ci/pipelines/merge_request_pipelines/#access-to-protected-variables-and-runners
 */
export function mayRunMerged(project: Protected, source: string, target: string): boolean {
  return !isProtected(project, { name: source, tag: false }) || isProtected(project, { name: target, tag: false })
}

/** Whether the branch may be moved by force by who may push to it. */
export function mayForce(project: Protected, ref: Ref): boolean {
  const protections = protectionsFor(project, ref)
  return protections.length === 0 || protections.some((one) => one.force)
}

/** The level to compare with these: an administrator's, or what the user is in the project. */
export function standing(level: number, isAdmin: boolean): number {
  return isAdmin ? administrators : level
}

function lowest(given: readonly ProtectionLevel[]): number {
  if (given.length === 0) return levels.developer
  return Math.min(...given.map((level) => (level === 0 ? nobody : level)))
}

/** `*` is any run of characters, slashes included; letters count as they are. */
export function matchesName(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*')
  if (rest.length === 0) return name === pattern
  if (!name.startsWith(first)) return false
  const last = rest.pop()!
  let at = first.length
  for (const part of rest) {
    const found = name.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return name.length - last.length >= at && name.endsWith(last)
}
