/** The commands that get the submodules of a job's sources. */
import path from 'node:path'
import type { JobFolders } from './folders.js'
import { command, notice, warning } from './script.js'
import type { JobSettings } from './settings.js'

export function updateSubmodules(settings: JobSettings, folders: JobFolders): string[] {
  const recursive = settings.submodules === 'recursive'
  const how = recursive ? ' recursively' : ''
  const depth = settings.submoduleDepth > 0 ? ` with git depth set to ${settings.submoduleDepth}` : ''
  const paths = settings.submodulePaths.length > 0 ? ['--', ...settings.submodulePaths] : []
  const deep = recursive ? ['--recursive'] : []
  const sync = command('git', 'submodule', 'sync', ...deep, ...paths)
  const update = command(
    'git',
    ...tokenAtHand(folders),
    ...['submodule', 'update', '--init', ...deep],
    ...(settings.submoduleDepth > 0 ? ['--depth', String(settings.submoduleDepth)] : []),
    ...settings.submoduleFlags,
    ...paths,
  )
  const each = (...words: string[]) => command('git', 'submodule', 'foreach', ...deep, ...words)
  const clean = settings.cleanFlags.length > 0 ? settings.cleanFlags : ['-ffdx']
  return [
    notice(`Updating/initializing submodules${how}${depth}...`),
    ...plainSubmodules(folders),
    'git submodule init',
    sync,
    each('git', 'clean', ...clean),
    each('git', 'reset', '--hard'),
    `if ${update}; then`,
    notice('Updated submodules'),
    sync,
    'else',
    warning('Updating submodules failed. Retrying...'),
    sync,
    update,
    each('git', 'reset', '--hard'),
    'fi',
    each('git', 'clean', ...clean),
    command(
      ...['git', 'submodule', 'foreach', '--recursive'],
      ...['git', 'config', '--replace-all', 'include.path', path.join(folders.temp, '.git.conf')],
    ),
    ...(settings.skipLfs
      ? []
      : ['if command -v git-lfs >/dev/null 2>&1; then', each('git', ...tokenAtHand(folders), 'lfs', 'pull'), 'fi']),
  ]
}

/**
 * Submodules of a clone that was used: their working trees are made anew, and of their repositories objects and refs are
 * kept. These have no remote then; `sync` gives them one.
 */
function plainSubmodules(folders: JobFolders): string[] {
  const config = '[core]\\n\\tbare = false\\n[remote "origin"]\\n\\tfetch = +refs/heads/*:refs/remotes/origin/*\\n'
  const one = [
    'cd "$(dirname "$head")"',
    'rm -rf config config.worktree commondir hooks info worktrees index',
    'rm -f objects/info/alternates',
    `printf '${config}' > config`,
  ]
  const found = ['-type', 'd', '(', '-name', 'objects', '-o', '-name', 'refs', '-o', '-name', 'logs', ')', '-prune']
  return [
    'if [ "$fresh" = no ]; then',
    'git submodule --quiet deinit --all --force >/dev/null',
    'if [ -d .git/modules ]; then',
    command(
      ...['find', '.git/modules', ...found, '-o', '-type', 'f', '-name', 'HEAD'],
      ...['-exec', 'sh', '-c', `for head; do (${one.join(' && ')}) || exit; done`, 'sh', '{}', '+'],
    ),
    'fi',
    'git submodule init',
    `${command('git', ...tokenAtHand(folders), 'submodule', '--quiet', 'update', '--no-fetch')} >/dev/null 2>&1 || :`,
    'fi',
  ]
}

/** Options that give git the token. What comes with `-c` reaches the commands that git runs in submodules too. */
export function tokenAtHand(folders: JobFolders): string[] {
  return ['-c', `include.path=${path.join(folders.temp, '.git-fetch.conf')}`]
}
