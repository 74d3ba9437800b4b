/** Where the submodules of a clone really are: jobs clone from an address of ours, to which theirs are not relative. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { gitOutput } from './working-tree.js'

/** As git's setting `url.<base>.insteadOf`. */
export interface Replacement {
  url: string
  base: string
}

/**
 * What git has to fetch from in place of the addresses that it will make of the `.gitmodules` under `root`: the submodule's
 * own git folder where it is checked out, also below it; else the address that it has beside `origin`.
 *
 * @param address where a job takes the repository at `root` from
 */
export function submoduleSources(root: string, address: string): Replacement[] {
  if (!existsSync(path.join(root, '.gitmodules'))) return []
  // Without a remote a submodule's address is relative to the folder, as git has it.
  const remote = gitOutput(root, ['remote', 'get-url', 'origin']) ?? root
  const origin = isPath(remote) ? path.resolve(root, remote) : remote
  const known = modulesOf(root).flatMap(({ folder, url }) => {
    const asked = relativeUrl(address, url)
    const checkedOut = path.join(root, folder)
    const gitDir = existsSync(path.join(checkedOut, '.git'))
      ? gitOutput(checkedOut, ['rev-parse', '--absolute-git-dir'])
      : undefined
    // Also one that stays as it is: what another replaces may be how this begins, and the longest wins.
    if (gitDir === undefined) return [{ url: asked, base: relativeUrl(origin, url) }]
    return [{ url: asked, base: `file://${gitDir}` }, ...submoduleSources(checkedOut, asked)]
  })
  return [...known, ...neighbours(address, origin)]
}

/** What lies beside the repository for us lies beside it at its origin: for submodules of those not checked out. */
function neighbours(address: string, origin: string): Replacement[] {
  const found: Replacement[] = []
  for (let [ours, theirs] = [address, origin]; ; ) {
    const [[above, name], [other, same]] = [splitLast(ours), splitLast(theirs)]
    if (above === undefined || other === undefined) return found
    found.push({ url: above, base: other })
    if (found.length > 1 && name !== same) return found.slice(0, -1)
    ours = above.slice(0, -1)
    theirs = other.slice(0, -1)
  }
}

/** An address up to its last part, with what joins the two, and that part. */
function splitLast(address: string): [string | undefined, string] {
  const [, above, name = ''] = /^([\s\S]*[^/:][/:])([^/:]+)$/.exec(address) ?? []
  return [above, name]
}

function modulesOf(root: string): { folder: string; url: string }[] {
  const args = ['config', '--file', '.gitmodules', '--null', '--get-regexp', '^submodule\\..*\\.(path|url)$']
  const modules = new Map<string, { path?: string; url?: string }>()
  for (const entry of gitOutput(root, args, true)?.split('\0') ?? []) {
    const [, name, key, value] = /^submodule\.([\s\S]+)\.(path|url)\n([\s\S]*)$/.exec(entry) ?? []
    if (name !== undefined) modules.set(name, { ...modules.get(name), [key!]: value! })
  }
  return [...modules.values()].flatMap(({ path: folder, url }) =>
    folder === undefined || url === undefined ? [] : [{ folder, url }],
  )
}

/** Git's `relative_url` (remote.c): each `../` takes the last part of the remote's address away, after `/` or `:`. */
export function relativeUrl(remote: string, url: string): string {
  if (!url.startsWith('./') && !url.startsWith('../')) return url
  let base = remote.replace(/\/+$/, '')
  let rest = url
  let joint = '/'
  for (;;) {
    if (rest.startsWith('./')) rest = rest.slice(2)
    else if (rest.startsWith('../')) {
      rest = rest.slice(3)
      const slash = base.lastIndexOf('/')
      const cut = slash >= 0 ? slash : base.lastIndexOf(':')
      joint = slash >= 0 ? '/' : ':'
      base = base.slice(0, Math.max(0, cut))
    } else return `${base}${joint}${rest.replace(/\/+$/, '')}`
  }
}

/** Not a URL, and not scp's `host:path`. */
function isPath(address: string): boolean {
  return !address.includes('://') && !/^[^/]+:/.test(address)
}
