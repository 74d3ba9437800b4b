/**
 * Which refs a push may move: what is protected only whom the protection names, by force where it says so, and nobody deletes
 * it. Rules: https://docs.gitlab.com/user/project/repository/branches/protected/,
 * gitlab lib/gitlab/checks/{branch,tag}_check.rb
 */

import { levels } from '../core/member.js'
import { isProtected, mayForce, pushLevel } from '../core/protection.js'
import type { PushedRef } from '../core/store/pushes.js'
import type { Access } from './access.js'
import { isZero } from './ref-name.js'

/**
 * Names that also say something else where a ref is asked for: the default branch, a full ref, a commit. GitLab refuses
 * the last; the others git itself warns of as ambiguous.
 */
const ambiguousBranch = /^refs\/heads\/(?:HEAD$|refs\/|[0-9a-f]{40}(?:-?\/|$))/

/** Why a push is refused as a whole, in words; undefined: it may begin. `isEmpty`: the repository has no branch yet. */
export function refusalOf(
  { project, standing }: Pick<Access, 'project' | 'standing'>,
  commands: readonly PushedRef[],
  isEmpty: boolean,
): string | undefined {
  const refs = commands.map((command) => ({ ...command, ...namedBy(command.ref) }))
  const isDefault = (one: (typeof refs)[number]) => one.ref === `refs/heads/${project.defaultBranch}`
  if (refs.some((one) => isDefault(one) && isZero(one.after)))
    return 'The default branch of a project cannot be deleted.'
  const ambiguous = refs.find(({ ref, after }) => ambiguousBranch.test(ref) && !isZero(after))
  if (ambiguous) return `You cannot create a branch with the name ${ambiguous.name}.`
  // The first branch becomes the default one.
  if (isEmpty && standing < levels.maintainer && refs.some((one) => one.tag === false)) {
    return 'A default branch does not exist yet. Ask a maintainer of the project to push it.'
  }
  for (const one of refs.filter(isBranchOrTag).filter((one) => isProtected(project, one))) {
    if (one.tag && !isZero(one.before)) return 'Protected tags cannot be updated or deleted by a push.'
    if (standing < pushLevel(project, one)) {
      return one.tag
        ? 'You are not allowed to create this tag as it is protected.'
        : 'You are not allowed to push code to protected branches on this project.'
    }
    if (isZero(one.after)) return 'Protected branches cannot be deleted by a push.'
  }
  return undefined
}

/** Settings of git for the push: it sees itself whether a branch is moved by force, once it has the objects. */
export function pushSettings(
  { project }: Pick<Access, 'project'>,
  commands: readonly PushedRef[],
): (readonly [key: string, value: string])[] {
  const fixed = commands
    .map(({ ref }) => namedBy(ref))
    .some((one) => isBranchOrTag(one) && !one.tag && !mayForce(project, one))
  return fixed ? [['receive.denyNonFastForwards', 'true']] : []
}

/** A ref's short name, and whether it is a tag; undefined for one that is neither branch nor tag. */
function namedBy(ref: string): { name: string; tag: boolean | undefined } {
  if (ref.startsWith('refs/heads/')) return { name: ref.slice('refs/heads/'.length), tag: false }
  if (ref.startsWith('refs/tags/')) return { name: ref.slice('refs/tags/'.length), tag: true }
  return { name: ref, tag: undefined }
}

function isBranchOrTag<T extends { tag: boolean | undefined }>(one: T): one is T & { tag: boolean } {
  return one.tag !== undefined
}
