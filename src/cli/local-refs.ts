/** Branches and tags of the clone that a command stands in, and which branch of them is the default one. */
import { askGit, gitOutput, type WorkingTree } from './working-tree.js'

/** The refs of a clone at one moment. */
export interface LocalRefs {
  /** Object ids by full name (`refs/heads/…`, `refs/tags/…`, `refs/remotes/…`), in git's order. */
  ids: ReadonlyMap<string, string>
  /** The remote whose branches are the project's: the only one, else `origin`. */
  remote: string
  /** Whether there are remotes at all: branches may be missing here then. */
  isClone: boolean
  /** The branch that a remote calls its default one: that remote, else all that say. */
  remoteHead: string | undefined
}

const listing = ['for-each-ref', '--format=%(objectname) %(refname) %(symref)']

/** Reads all refs with two git processes; none where there is no repository. */
export function readRefs(tree: WorkingTree): LocalRefs {
  const ask = (args: string[]) => (tree.gitDir === undefined ? undefined : gitOutput(tree.root, args))
  return parseRefs(ask(listing), ask(['remote']))
}

/** As `readRefs`, while the caller goes on. */
export async function findRefs(tree: WorkingTree): Promise<LocalRefs> {
  const ask = async (args: string[]) => (tree.gitDir === undefined ? undefined : askGit(tree.root, args))
  return parseRefs(...(await Promise.all([ask(listing), ask(['remote'])])))
}

function parseRefs(listed: string | undefined, remotesListed: string | undefined): LocalRefs {
  const ids = new Map<string, string>()
  const heads = new Map<string, string>()
  const remotes = remotesListed?.split('\n').filter(Boolean) ?? []
  const remote = remotes.length === 1 ? remotes[0]! : 'origin'
  for (const line of listed?.split('\n') ?? []) {
    const [id, name, symref] = line.split(' ')
    if (!id || !name) continue
    if (!symref) ids.set(name, id)
    const of = /^refs\/remotes\/(.+)\/HEAD$/.exec(name)?.[1]
    if (of !== undefined && symref?.startsWith(`refs/remotes/${of}/`)) {
      heads.set(of, symref.slice(`refs/remotes/${of}/`.length))
    }
  }
  const said = new Set(heads.values())
  const remoteHead = heads.get(remote) ?? (said.size === 1 ? [...said][0] : undefined)
  return { ids, remote, isClone: remotes.length > 0, remoteHead }
}

/**
 * The default branch, as far as the refs can tell: the one that the remote names; the only one there is, unless it is
 * a clone, which may have been made of a single branch; else what `init.defaultBranch` says, `main` or `master`,
 * whichever is a branch. The branch checked out is no candidate for being so: jobs for the default branch deploy.
 */
export function defaultBranchOf(tree: WorkingTree, refs: LocalRefs): string {
  if (refs.remoteHead !== undefined) return refs.remoteHead
  const branches = branchNames(refs)
  if (branches.size === 0) return tree.branch ?? 'main'
  const [only] = branches
  if (branches.size === 1 && !refs.isClone) return only!
  const usual = [gitOutput(tree.root, ['config', 'init.defaultBranch']), 'main', 'master']
  return usual.find((name) => name !== undefined && branches.has(name)) ?? 'main'
}

function branchNames(refs: LocalRefs): Set<string> {
  const names = [...refs.ids.keys()].map((name) => headName(name) ?? remoteBranch(refs, name))
  return new Set(names.filter((name) => name !== undefined))
}

function headName(ref: string): string | undefined {
  return /^refs\/heads\/(.+)$/.exec(ref)?.[1]
}

/** The branch of the project's remote that a ref is. */
function remoteBranch({ remote }: LocalRefs, ref: string): string | undefined {
  const place = `refs/remotes/${remote}/`
  return ref.startsWith(place) ? ref.slice(place.length) : undefined
}

/** Where a branch may stand among the refs: as one of the clone, then as one of its remote. */
export function placesOf({ remote }: Pick<LocalRefs, 'remote'>, branch: string): [string, string] {
  return [`refs/heads/${branch}`, `refs/remotes/${remote}/${branch}`]
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
export function eventRef(tree: WorkingTree, refs: LocalRefs, given?: string): EventRef {
  if (given === undefined) {
    return { ref: tree.branch ?? 'HEAD', tag: false, detached: tree.branch === undefined }
  }
  const full = /^refs\/(heads|tags)\/(.+)$/.exec(given)
  if (full) return { ref: full[2]!, tag: full[1] === 'tags', detached: false }
  const isBranch = given === tree.branch || placesOf(refs, given).some((place) => refs.ids.has(place))
  return { ref: given, tag: !isBranch && refs.ids.has(`refs/tags/${given}`), detached: false }
}

/**
 * The refs as a coordinator would have them that was pushed to: branches that only the remote has are branches too. What
 * a branch of the clone is called goes first, as in git.
 */
export function pushedRefs(refs: LocalRefs): Map<string, string> {
  const pushed = new Map(refs.ids)
  for (const [name, id] of refs.ids) {
    const branch = remoteBranch(refs, name)
    if (branch !== undefined && !refs.ids.has(`refs/heads/${branch}`)) pushed.set(`refs/heads/${branch}`, id)
  }
  return pushed
}
