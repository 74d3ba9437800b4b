/** The script that gets the sources of a job. */
import fs from 'node:fs'
import path from 'node:path'
import { program } from '../identity.js'
import type { InsteadOf } from '../options.js'
import type { JobFolders } from './folders.js'
import type { JobPayload } from './payload.js'
import { command, notice, quote, userLines, warning } from './script.js'
import type { JobSettings } from './settings.js'

/*
 * Getting the sources. The order of commands and the words in the log are GitLab Runner's (`shells/abstract.go`). The
 * token is where no process list and no log shows it: in files of the job's temporary folder, which git reads.
 *
 *   .git-fetch.conf    sends the token with the first request of our own fetch, which saves the round trip of a challenge,
 *                      and names the folder to fetch from where the repository lies on this machine
 *   .git.conf          included by the repository for the job's own git commands: answers a challenge, and is not used
 *                      where a command names credentials itself
 *   .git-credentials-N the answer, read by a helper
 *   .git-under-way     is there while our own git commands run, and says whether another job's clone is used
 *
 * A clone that another job has used may hold anything: settings that send git elsewhere or run commands, hooks, filters,
 * links, locks, marks in the index. Our commands see none of it: settings, hooks and attributes are made anew, as GitLab
 * Runner does (`writeGitCleanup`, for all its executors but one), what is no plain clone is removed, and if it fails all
 * the same, the stage is tried once more in a fresh one.
 */

/** The environment of the stage, beside the job's. */
export const sourcesEnvironment = { GIT_TERMINAL_PROMPT: '0', GCM_INTERACTIVE: 'Never', GIT_LFS_SKIP_SMUDGE: '1' }

/** Writes the files that the script of `sourcesScript` reads. */
export function writeGitFiles(
  payload: JobPayload,
  folders: JobFolders,
  coordinatorUrl: string,
  insteadOf: readonly InsteadOf[],
): void {
  const template = path.join(folders.temp, 'git-template')
  // What another job has left under these names may be a link, or hold hooks.
  for (const name of gitFiles) fs.rmSync(path.join(folders.temp, name), { recursive: true, force: true })
  fs.mkdirSync(template, { recursive: true })
  const included = path.join(folders.temp, '.git.conf')
  const lines = [
    ...(payload.git.objectFormat === 'sha1'
      ? []
      : [`[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = ${payload.git.objectFormat}`]),
    '[init]\n\tdefaultBranch = none',
    '[fetch]\n\trecurseSubmodules = false',
    '[credential]\n\tinteractive = never',
    '[gc]\n\tautoDetach = false',
    `[remote "origin"]\n\turl = ${configValue(bareUrl(payload.git.repoUrl))}\n\tfetch = +refs/heads/*:refs/remotes/origin/*`,
    `[include]\n\tpath = ${configValue(included)}`,
  ]
  fs.writeFileSync(path.join(template, 'config'), `${lines.join('\n')}\n`)
  const helpers: string[] = []
  const headers: string[] = []
  for (const [index, { base, user, password, proactive }] of credentials(payload, coordinatorUrl).entries()) {
    const file = path.join(folders.temp, `.git-credentials-${index}`)
    fs.writeFileSync(file, `username=${user}\npassword=${password}\n`, { mode: 0o600 })
    const helper = `!f() { test "$1" = get && cat ${quote(file)}; }; f`
    helpers.push(`[credential ${configValue(base)}]\n\thelper =\n\thelper = ${configValue(helper)}\n`)
    if (!proactive) continue
    const basic = Buffer.from(`${user}:${password}`).toString('base64')
    headers.push(`[http ${configValue(`${base}/`)}]\n\textraHeader = ${configValue(`Authorization: Basic ${basic}`)}\n`)
  }
  for (const { url, base } of insteadOf) {
    headers.push(`[url ${configValue(base)}]\n\tinsteadOf = ${configValue(url)}\n`)
  }
  // Git takes no submodule from a folder unless it is told to: here it is, by whoever started the runner.
  if (insteadOf.length > 0) headers.push('[protocol "file"]\n\tallow = always\n')
  fs.writeFileSync(included, helpers.join(''), { mode: 0o600 })
  fs.writeFileSync(path.join(folders.temp, '.git-fetch.conf'), headers.join(''), { mode: 0o600 })
}

const gitFiles = ['git-template', '.git.conf', '.git-fetch.conf', '.git-under-way']

/** What our own fetch needed and the job must not find in its hands. */
export function removeFetchFiles(folders: JobFolders): void {
  fs.rmSync(path.join(folders.temp, '.git-fetch.conf'), { force: true })
}

/** Whether a script of `sourcesScript` ended while our own git commands ran: no hook of the user's has failed then. */
export function endedInGit(folders: JobFolders): boolean {
  return fs.existsSync(path.join(folders.temp, '.git-under-way'))
}

/** What is said where there are no sources to get. */
export const noSources = ['Skipping Git repository setup', 'Skipping Git checkout', 'Skipping Git submodules setup']

/**
 * The commands of the stage `get_sources`; none where there is nothing to do. `afresh`: in a new clone, whatever the
 * strategy is.
 */
export function sourcesScript(
  payload: JobPayload,
  settings: JobSettings,
  folders: JobFolders,
  { afresh = false } = {},
): string[] {
  const { build, temp } = folders
  switch (settings.strategy) {
    case 'none':
      return []
    case 'empty':
      return [
        notice('Skipping Git repository setup and creating an empty build directory'),
        ...removal(build),
        command('mkdir', '-p', build),
        ...noSources.slice(1).map(notice),
      ]
    default: {
      const template = path.join(temp, 'git-template')
      const underWay = quote(path.join(temp, '.git-under-way'))
      return [
        ...userLines(payload.hooks.preGetSources),
        `: > ${underWay}`,
        ...(afresh || settings.strategy === 'clone' ? removal(build) : makePlain(build, template)),
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
        ...userLines(payload.hooks.postGetSources),
      ]
    }
  }
}

/** The commands that make a repository fit for a second attempt. */
export function clearWorktreeScript(folders: JobFolders): string[] {
  return [
    notice('Deleting tracked and untracked files...'),
    `if [ -d ${quote(path.join(folders.build, '.git'))} ]; then`,
    command('cd', folders.build),
    'git rm -rf --ignore-unmatch --quiet .',
    'git clean -ffdx -q',
    'fi',
  ]
}

/** The repository's address without user and password. */
function bareUrl(repoUrl: string): string {
  const url = parseHttp(repoUrl)
  if (url === undefined) return repoUrl
  url.username = ''
  url.password = ''
  return url.href
}

/** What git may be told to whom, and whether before it is asked. */
function credentials(
  payload: JobPayload,
  coordinatorUrl: string,
): { base: string; user: string; password: string; proactive: boolean }[] {
  const repository = parseHttp(payload.git.repoUrl)
  const coordinator = parseHttp(coordinatorUrl)
  const given = repository !== undefined && repository.password !== ''
  const list = []
  if (repository !== undefined && given) {
    const [user, password] = [decodeURIComponent(repository.username), decodeURIComponent(repository.password)]
    list.push({ base: repository.origin, user, password, proactive: true })
  }
  for (const url of [coordinator, repository]) {
    if (url === undefined || list.some((each) => each.base === url.origin)) continue
    // A host that is not the coordinator's gets the token only if it asks for one: a public server refuses it.
    list.push({
      base: url.origin,
      user: 'gitlab-ci-token',
      password: payload.token,
      proactive: url.origin === coordinator?.origin,
    })
  }
  return list
}

/** A job may leave folders that nobody may write to, such as Go's module cache. */
function removal(folder: string): string[] {
  const remove = command('rm', '-rf', folder)
  return [`${remove} 2>/dev/null || { ${command('chmod', '-R', 'u+rwX', folder)} || :; ${remove}; }`]
}

/**
 * Makes what is there as plain as a fresh clone, apart from objects and refs; removes it where that cannot be: it is a
 * link, or borrows from another repository, or git cannot read it.
 */
function makePlain(build: string, template: string): string[] {
  const git = path.join(build, '.git')
  const inGit = (...names: string[]) => command(...names.map((name) => path.join(git, name)))
  const plain = [
    ...['', 'objects', 'refs'].map((name) => `[ -d ${inGit(name)} ] && [ ! -L ${inGit(name)} ]`),
    `[ ! -L ${quote(build)} ]`,
    ...['commondir', 'objects/info/alternates'].map((name) => `[ ! -e ${inGit(name)} ]`),
  ]
  return [
    `if [ -e ${quote(build)} ] || [ -L ${quote(build)} ]; then`,
    `if ! { ${plain.join(' && ')}; }; then`,
    // An empty folder, or one without a repository, is left to `git init` and `git clean`.
    `if [ -e ${inGit('')} ] || [ -L ${inGit('')} ] || [ -L ${quote(build)} ]; then`,
    ...removal(build),
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
    ...removal(build),
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

function updateSubmodules(settings: JobSettings, folders: JobFolders): string[] {
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

/** Options that give git the token. What comes with `-c` reaches the commands that git runs in submodules too. */
function tokenAtHand(folders: JobFolders): string[] {
  return ['-c', `include.path=${path.join(folders.temp, '.git-fetch.conf')}`]
}

function parseHttp(text: string): URL | undefined {
  try {
    const url = new URL(text)
    return url.protocol === 'http:' || url.protocol === 'https:' ? url : undefined
  } catch {
    return undefined
  }
}

/** A value in git's configuration syntax, whatever is in it. */
function configValue(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`
}
