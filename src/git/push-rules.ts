/**
 * Which refs a push may move. The default branch is protected, as on GitLab by default: maintainers push to it, nobody by
 * force, and nobody deletes it. Rules: https://docs.gitlab.com/user/project/repository/branches/protected/,
 * gitlab lib/gitlab/checks/branch_check.rb
 */

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
  { project, maintains }: Pick<Access, 'project' | 'maintains'>,
  commands: readonly PushedRef[],
  isEmpty: boolean,
): string | undefined {
  const { branches, ofDefault } = sorted(project, commands)
  if (ofDefault.some(({ after }) => isZero(after))) return 'The default branch of a project cannot be deleted.'
  const ambiguous = branches.find(({ ref, after }) => ambiguousBranch.test(ref) && !isZero(after))
  if (ambiguous) return `You cannot create a branch with the name ${ambiguous.ref.slice('refs/heads/'.length)}.`
  if (maintains) return undefined
  // The first branch becomes the default one.
  if (isEmpty && branches.length > 0) {
    return 'A default branch does not exist yet. Ask a maintainer of the project to push it.'
  }
  return ofDefault.length === 0 ? undefined : 'You are not allowed to push code to protected branches on this project.'
}

/** Settings of git for the push: it sees itself whether a branch is moved by force, once it has the objects. */
export function pushSettings(
  { project }: Pick<Access, 'project'>,
  commands: readonly PushedRef[],
): (readonly [key: string, value: string])[] {
  return sorted(project, commands).ofDefault.length === 0 ? [] : [['receive.denyNonFastForwards', 'true']]
}

function sorted({ defaultBranch }: Access['project'], commands: readonly PushedRef[]) {
  const branches = commands.filter(({ ref }) => ref.startsWith('refs/heads/'))
  return { branches, ofDefault: branches.filter(({ ref }) => ref === `refs/heads/${defaultBranch}`) }
}
