/** How the system's git is started: with nothing of our environment, and with settings that no repository can change. */
import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'

/**
 * Settings of every hosted repository. They come by the environment, so a changed one holds for old repositories at
 * once, and are written into new ones for whoever works on a folder by hand.
 */
const repositorySettings: readonly (readonly [key: string, value: string])[] = [
  // Nothing runs behind our back: an automatic gc would pack and prune while pipelines read.
  ['gc.auto', '0'],
  ['receive.autogc', 'false'],
  ['http.receivepack', 'true'],
  ['http.uploadpack', 'true'],
  // The dumb protocol.
  ['http.getanyfile', 'false'],
  // A runner may ask for a commit by its id. Not `allowAnySHA1InWant`: what no ref reaches any more is nobody's to fetch.
  // (Version 2 of the protocol does not look at either and serves every object that is still there.)
  ['uploadpack.allowReachableSHA1InWant', 'true'],
  ['uploadpack.allowFilter', 'true'],
  ['receive.advertisePushOptions', 'true'],
  // Only branches, tags and notes are for users; `refs/pipelines` is ours.
  ['receive.hideRefs', 'refs'],
  ['receive.hideRefs', '!refs/heads'],
  ['receive.hideRefs', '!refs/tags'],
  ['receive.hideRefs', '!refs/notes'],
  ['receive.fsckObjects', 'true'],
  // Old histories carry these flaws, and GitLab takes them too.
  ['receive.fsck.badTimezone', 'ignore'],
  ['receive.fsck.missingSpaceBeforeDate', 'ignore'],
  ['receive.fsck.zeroPaddedFilemode', 'ignore'],
  // A push that was acknowledged survives a power loss. The default leaves loose objects and refs to the system.
  ['core.fsync', 'objects,derived-metadata,reference'],
  // Larger ones are streamed, not held in memory.
  ['core.bigFileThreshold', '16m'],
  ['pack.windowMemory', '128m'],
]

/** Settings that only make sense for a process that we start. */
const processSettings: readonly (readonly [string, string])[] = [
  ['core.hooksPath', '/dev/null'],
  ['protocol.allow', 'never'],
  ['protocol.ext.allow', 'never'],
  // The folder is ours by configuration, whatever user owns the volume.
  ['safe.directory', '*'],
]

/** The text of `repositorySettings` in the syntax of git's configuration file. */
export function settingsText(): string {
  return repositorySettings
    .map(([key, value]) => {
      const dot = key.indexOf('.')
      const last = key.lastIndexOf('.')
      const section = dot === last ? key.slice(0, dot) : `${key.slice(0, dot)} "${key.slice(dot + 1, last)}"`
      return `[${section}]\n\t${key.slice(last + 1)} = ${value}\n`
    })
    .join('')
}

/**
 * The whole environment of a git process. `home` is an empty folder; `more` are further settings.
 * Replacement refs are off: under one a commit id could come to mean another tree.
 */
export function gitEnvironment(home: string, more: readonly (readonly [string, string])[] = []): NodeJS.ProcessEnv {
  const settings = [...repositorySettings, ...processSettings, ...more]
  const env: NodeJS.ProcessEnv = {
    PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
    HOME: home,
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ALLOW_PROTOCOL: '',
    GIT_NO_REPLACE_OBJECTS: '1',
  }
  return { ...env, ...withSettings({ GIT_CONFIG_COUNT: '0' }, settings) }
}

/** The variables of a git process that add further settings to an environment's own. */
export function withSettings(
  env: NodeJS.ProcessEnv,
  more: readonly (readonly [key: string, value: string])[],
): NodeJS.ProcessEnv {
  const first = Number(env.GIT_CONFIG_COUNT)
  const pairs = more.flatMap(([key, value], i) => [
    [`GIT_CONFIG_KEY_${first + i}`, key],
    [`GIT_CONFIG_VALUE_${first + i}`, value],
  ])
  return { GIT_CONFIG_COUNT: String(first + more.length), ...Object.fromEntries(pairs) }
}

const run = promisify(execFile)

/**
 * Runs git to its end and gives what it wrote. Rejects when it fails, writes more than `maxBytes`, or takes longer than
 * `timeoutMs`; then it is killed.
 */
export async function runGit(
  args: readonly string[],
  options: { env: NodeJS.ProcessEnv; maxBytes?: number; timeoutMs?: number },
): Promise<Buffer> {
  const { stdout } = await run('git', args, {
    env: options.env,
    encoding: 'buffer',
    maxBuffer: options.maxBytes ?? 1024 * 1024,
    timeout: options.timeoutMs ?? 60_000,
    killSignal: 'SIGKILL',
  })
  return stdout
}

/** The path of `git-http-backend`, started directly to save the process of the `git` in front of it. */
export async function httpBackendPath(env: NodeJS.ProcessEnv): Promise<string> {
  const folder = await runGit(['--exec-path'], { env })
  return path.join(folder.toString('utf8').trim(), 'git-http-backend')
}
