/** The script that gets the sources of a job. */
import path from 'node:path'
import { program } from '../identity.js'
import type { JobFolders } from './folders.js'
import { harmless } from './git-flags.js'
import type { JobPayload } from './payload.js'
import { command, notice, quote, userLines } from './script.js'
import type { JobSettings } from './settings.js'
import { tokenAtHand, updateSubmodules } from './submodules-script.js'

/*
 * Getting the sources. The order of commands and the words in the log are GitLab Runner's (`shells/abstract.go`). The
 * token is where no process list and no log shows it: in files of the job's temporary folder, which git reads.
 *
 *   .git-fetch.conf    sends the token with the first request of our own fetch, which saves the round trip of a challenge,
 *                      and names the folder to fetch from where the repository lies on this machine
 *   .git.conf          included by the repository for the job's own git commands: answers a challenge, and is not used
 *                      where a command names credentials itself
 *   .git-credentials-N the answer, read by a helper
 *   .git-host.conf     the same as .git.conf for our own commands, where the job sees its files elsewhere
 *   .git-under-way     is there while our own git commands run, and says whether another job's clone is used
 *
 * A clone that another job has used may hold anything: settings that send git elsewhere or run commands, hooks, filters,
 * links, locks, marks in the index. Our commands see none of it: settings, hooks and attributes are made anew, as GitLab
 * Runner does (`writeGitCleanup`, for all its executors but one), what is no plain clone is removed, and if it fails all
 * the same, the stage is tried once more in a fresh one.
 */

/** The environment of the stage, beside the job's. */
export const sourcesEnvironment = { GIT_TERMINAL_PROMPT: '0', GCM_INTERACTIVE: 'Never', GIT_LFS_SKIP_SMUDGE: '1' }

/** What is said where there are no sources to get. */
export const noSources = ['Skipping Git repository setup', 'Skipping Git checkout', 'Skipping Git submodules setup']

/**
 * The commands of the stage `get_sources`; none where there is nothing to do. `afresh`: in a new clone, whatever the
 * strategy is. `apart`: the job sees another file system, so nothing of its own is run here: neither hooks nor options that
 * name programs.
 */
export function sourcesScript(
  payload: JobPayload,
  given: JobSettings,
  folders: JobFolders,
  { afresh = false, apart = false } = {},
): string[] {
  const { build, temp } = folders
  const settings = apart ? harmless(given) : given
  switch (settings.strategy) {
    case 'none':
      return []
    case 'empty':
      return [
        notice('Skipping Git repository setup and creating an empty build directory'),
        ...removal(folders),
        command('mkdir', '-p', build),
        ...(apart ? [command('chmod', '0777', build)] : []),
        ...noSources.slice(1).map(notice),
      ]
    default: {
      const template = path.join(temp, 'git-template')
      const underWay = quote(path.join(temp, '.git-under-way'))
      return [
        ...(apart ? [] : userLines(payload.hooks.preGetSources)),
        `: > ${underWay}`,
        // Whoever the job is in a container may write to its sources; on this host nobody else comes as far.
        ...(apart ? ['umask 0000'] : []),
        ...(afresh || settings.strategy === 'clone' ? removal(folders) : makePlain(folders, template)),
        notice(
          payload.git.depth > 0
            ? `Fetching changes with git depth set to ${payload.git.depth}...`
            : 'Fetching changes...',
        ),
        // After a fetch git looks whether there is something to tidy up; in a fresh repository there is not.
        "fresh=yes; tidy='-c maintenance.auto=false'",
        `if [ -e ${quote(path.join(build, '.git', 'config'))} ]; then fresh=no; tidy=; fi`,
        command(
          'git',
          ...['-c', 'init.defaultBranch=none', 'init', `--template=${template}`],
          ...(payload.git.objectFormat === 'sha1' ? [] : [`--object-format=${payload.git.objectFormat}`]),
          build,
        ),
        command('cd', build),
        // Remote and include are in the template.
        'if [ "$fresh" = yes ]; then',
        notice('Created fresh repository.'),
        'else',
        ...forgetMarks,
        'fi',
        ...fetch(payload, settings, folders),
        ...(settings.checkout ? checkout(payload, settings) : [notice('Skipping Git checkout')]),
        ...(settings.submodules === 'none'
          ? [notice('Skipping Git submodules setup')]
          : updateSubmodules(settings, folders)),
        `rm -f ${underWay}`,
        ...(apart ? [] : userLines(payload.hooks.postGetSources)),
      ]
    }
  }
}

/** The commands that make a repository fit for a second attempt. */
export function clearWorktreeScript(folders: JobFolders, { apart = false } = {}): string[] {
  // What a hook in a container has left of the repository is not for a git of this host.
  if (apart) return [notice('Deleting all files...'), ...removal({ ...folders, kept: true })]
  return [
    notice('Deleting tracked and untracked files...'),
    `if [ -d ${quote(path.join(folders.build, '.git'))} ]; then`,
    command('cd', folders.build),
    'git rm -rf --ignore-unmatch --quiet .',
    'git clean -ffdx -q',
    'fi',
  ]
}

/** A job may leave folders that nobody may write to, such as Go's module cache. */
function removal({ build: folder, kept }: Pick<JobFolders, 'build' | 'kept'>): string[] {
  const remove = kept
    ? command('find', folder, '-mindepth', '1', '-maxdepth', '1', '-exec', 'rm', '-rf', '{}', '+')
    : command('rm', '-rf', folder)
  return [`${remove} 2>/dev/null || { ${command('chmod', '-R', 'u+rwX', folder)} || :; ${remove}; }`]
}

/**
 * Makes what is there as plain as a fresh clone, apart from objects and refs; removes it where that cannot be: it is a
 * link, or borrows from another repository, or git cannot read it.
 */
function makePlain(folders: JobFolders, template: string): string[] {
  const { build } = folders
  const git = path.join(build, '.git')
  const inGit = (...names: string[]) => command(...names.map((name) => path.join(git, name)))
  const plain = [
    ...['', 'objects', 'refs'].map((name) => `[ -d ${inGit(name)} ] && [ ! -L ${inGit(name)} ]`),
    `[ ! -L ${quote(build)} ]`,
    ...['commondir', 'objects/info/alternates'].map((name) => `[ ! -e ${inGit(name)} ]`),
    // Git makes none by itself; one that is there may lead into the repository of somebody else.
    `[ -z "$(${command('find', git, '-type', 'l')} | head -n 1)" ]`,
  ]
  return [
    `if [ -e ${quote(build)} ] || [ -L ${quote(build)} ]; then`,
    `if ! { ${plain.join(' && ')}; }; then`,
    // An empty folder, or one without a repository, is left to `git init` and `git clean`.
    `if [ -e ${inGit('')} ] || [ -L ${inGit('')} ] || [ -L ${quote(build)} ]; then`,
    ...removal(folders),
    'fi',
    'else',
    `rm -rf ${inGit('config', 'config.worktree', 'hooks', 'info', 'worktrees')}`,
    command('cp', path.join(template, 'config'), path.join(git, 'config')),
    // A killed git leaves locks behind that would fail the next one.
    `${command('find', git, '-name', '*.lock', '-type', 'f', '-exec', 'rm', '-f')} {} +`,
    // Objects that a partial clone has left out are asked for when they are missed.
    `if ls ${inGit('objects/pack/')}*.promisor >/dev/null 2>&1; then`,
    command('git', 'config', '--file', path.join(git, 'config'), 'remote.origin.promisor', 'true'),
    'fi',
    `if ! ${command('git', `--git-dir=${git}`, 'rev-parse', '--git-dir')} >/dev/null 2>&1; then`,
    ...removal(folders),
    'fi',
    'fi',
    'fi',
  ]
}

/** Replacements of objects, and files that the index was told not to look at (`ls-files -v`: small letters, and S). */
const forgetMarks = [
  "git for-each-ref --format='delete %(refname)' refs/replace/ | git update-ref --stdin",
  "if git ls-files -v | grep -q '^[a-zS]'; then rm -f .git/index; fi",
]

function fetch(payload: JobPayload, settings: JobSettings, folders: JobFolders): string[] {
  const { depth, refspecs } = payload.git
  const words = [
    ...tokenAtHand(folders),
    ...['-c', `http.userAgent=${program.name} ${program.version} ${program.platform}/${program.architecture}`],
    ...['fetch', 'origin', '--no-recurse-submodules', ...refspecs],
    ...(depth > 0 ? ['--depth', String(depth)] : []),
    ...settings.fetchFlags,
  ]
  const run = `git $tidy ${command(...words)}`
  if (depth > 0) return [run]
  // Where it comes from a shallow repository, history ends where it does there.
  return ['if [ -e .git/shallow ]; then', `${run} --unshallow`, 'else', `${run} --update-shallow`, 'fi']
}

function checkout(payload: JobPayload, settings: JobSettings): string[] {
  const { sha, ref } = payload.git
  return [
    notice(`Checking out ${sha.slice(0, 8)} as detached HEAD (ref is ${ref})...`),
    // A branch may have been given the commit's id as its name; `^0` is a commit only.
    command('git', '-c', 'submodule.recurse=false', 'checkout', '-f', '-q', '--detach', `${sha}^0`),
    ...(settings.cleanFlags.length > 0
      ? [`if [ "$fresh" = no ]; then ${command('git', 'clean', ...settings.cleanFlags)}; fi`]
      : []),
    ...(settings.skipLfs ? [] : ['if command -v git-lfs >/dev/null 2>&1; then', 'git lfs pull', 'fi']),
  ]
}
