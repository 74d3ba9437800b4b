/** Branches and tags of the clone that a command stands in, and which branch of them is the default one. */
import { askGit, gitOutput, type WorkingTree } from './working-tree.js'

export interface LocalRefs {
  /** Object ids by full name (`refs/heads/…`, `refs/tags/…`, `refs/remotes/…`), in git's order. */
  ids: ReadonlyMap<string, string>
  /** The branch that `origin` calls its default one. */
  originHead: string | undefined
}

const originHead = 'refs/remotes/origin/HEAD'

const listing = ['for-each-ref', '--format=%(objectname) %(refname) %(symref)']

/** Reads all refs with one git process; none where there is no repository. */
export function readRefs(tree: WorkingTree): LocalRefs {
  return parseRefs(tree.gitDir === undefined ? undefined : gitOutput(tree.root, listing))
}

/** As `readRefs`, while the caller goes on. */
export async function findRefs(tree: WorkingTree): Promise<LocalRefs> {
  return parseRefs(tree.gitDir === undefined ? undefined : await askGit(tree.root, listing))
}

function parseRefs(listed: string | undefined): LocalRefs {
  const ids = new Map<string, string>()
  let head: string | undefined
  for (const line of listed?.split('\n') ?? []) {
    const [id, name, symref] = line.split(' ')
    if (!id || !name) continue
    if (name === originHead) head = symref?.replace(/^refs\/remotes\/origin\//, '')
    else if (!symref) ids.set(name, id)
  }
  return { ids, originHead: head || undefined }
}

/**
 * The default branch, as far as a clone can tell: the one that `origin` names; the only one there is; else what
 * `init.defaultBranch` says, `main` or `master`, whichever is a branch. The branch checked out is no candidate for being
 * so: jobs for the default branch deploy.
 */
export function defaultBranchOf(tree: WorkingTree, refs: LocalRefs): string {
  if (refs.originHead !== undefined) return refs.originHead
  const branches = branchNames(refs)
  if (branches.size === 0) return tree.branch ?? 'main'
  const [only] = branches
  if (branches.size === 1) return only!
  const usual = [gitOutput(tree.root, ['config', 'init.defaultBranch']), 'main', 'master']
  return usual.find((name) => name !== undefined && branches.has(name)) ?? 'main'
}

function branchNames({ ids }: LocalRefs): Set<string> {
  const names = [...ids.keys()].map((name) => /^refs\/(?:heads|remotes\/origin)\/(.+)$/.exec(name)?.[1])
  return new Set(names.filter((name) => name !== undefined))
}

/** What the event is about. */
export interface EventRef {
  /** Its short name; `HEAD` where no branch is checked out. */
  ref: string
  tag: boolean
  /** HEAD is detached and nothing was named: the event is of no branch. */
  detached: boolean
}

/** A branch or tag by its name, also in full; absent: the branch checked out. */
export function eventRef(tree: WorkingTree, { ids }: LocalRefs, given?: string): EventRef {
  if (given === undefined) {
    return { ref: tree.branch ?? 'HEAD', tag: false, detached: tree.branch === undefined }
  }
  const full = /^refs\/(heads|tags)\/(.+)$/.exec(given)
  if (full) return { ref: full[2]!, tag: full[1] === 'tags', detached: false }
  const isBranch = given === tree.branch || ids.has(`refs/heads/${given}`) || ids.has(`refs/remotes/origin/${given}`)
  return { ref: given, tag: !isBranch && ids.has(`refs/tags/${given}`), detached: false }
}

/**
 * The refs as a coordinator would have them that was pushed to: branches that only `origin` has are branches too. What
 * a branch of the clone is called goes first, as in git.
 */
export function pushedRefs({ ids }: LocalRefs): Map<string, string> {
  const pushed = new Map(ids)
  for (const [name, id] of ids) {
    const branch = /^refs\/remotes\/origin\/(.+)$/.exec(name)?.[1]
    if (branch !== undefined && !ids.has(`refs/heads/${branch}`)) pushed.set(`refs/heads/${branch}`, id)
  }
  return pushed
}
