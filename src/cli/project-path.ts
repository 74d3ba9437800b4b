/** The path that a clone's project has on its forge: `CI_PROJECT_PATH`. */
import path from 'node:path'
import { isPathSegment } from '../core/project.js'
import { askGit, gitOutput, type WorkingTree } from './working-tree.js'

/** That of `origin`; `local/` and the folder's name where there is none, or it lies on this machine. */
export function projectPath(tree: WorkingTree): string {
  return pathFrom(tree, tree.gitDir === undefined ? undefined : gitOutput(tree.root, originUrl))
}

/** As `projectPath`, while the caller goes on. */
export async function findProjectPath(tree: WorkingTree): Promise<string> {
  return pathFrom(tree, tree.gitDir === undefined ? undefined : await askGit(tree.root, originUrl))
}

const originUrl = ['remote', 'get-url', 'origin']

function pathFrom(tree: WorkingTree, origin: string | undefined): string {
  return (origin === undefined ? undefined : pathOfRemote(origin)) ?? `local/${folderName(tree.root)}`
}

/**
 * The path in the address of a repository: of a URL, or in scp's form (`git@host:group/name.git`); undefined for a folder
 * and for what cannot be the path of a project.
 */
export function pathOfRemote(address: string): string | undefined {
  const url = /^(?:https?|ssh|git|git\+ssh|ssh\+git):\/\/[^/]+\/(.+)$/i.exec(address)?.[1]
  // Git takes it for scp's form if a colon comes before any slash: https://git-scm.com/docs/git-clone#_git_urls
  const scp =
    url === undefined && !address.includes('://') ? /^(?:\[[^\]]+\]|[^/:]+):(.+)$/.exec(address)?.[1] : undefined
  const found = (url ?? scp)
    ?.replace(/[?#].*$/, '')
    .replace(/^\/+|\/+$/g, '')
    .replace(/\.git$/, '')
  return found !== undefined && isProjectPath(found) ? found : undefined
}

/** Whether a text is a group, perhaps with groups in it, and the name of a project. */
export function isProjectPath(text: string): boolean {
  const segments = text.split('/')
  return segments.length > 1 && segments.every(isPathSegment)
}

/** The folder's own name, in characters that a path may have. */
function folderName(root: string): string {
  const name = path
    .basename(root)
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .replace(/^-+|-+$/g, '')
  return name === '' ? 'project' : name
}
