/**
 * Fetching from a remote repository. A user chooses the address, so: https and public addresses only, unless the operator
 * trusts the host; looked up once, and git connects to what was checked (`http.curloptResolve`, git 2.37); no redirects;
 * little time, and no more bytes than the limit. Credentials go by git's environment: never in an argument, nor in a
 * message of git's.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import { readdir, stat } from 'node:fs/promises'
import { isIP } from 'node:net'
import path from 'node:path'
import { asFault } from '../core/as-fault.js'
import { SignalboxError } from '../core/errors.js'
import type { RemoteSource } from '../core/mirror.js'
import { isPublicAddress } from '../core/public-address.js'
import { gitEnvironment } from './git-process.js'
import { isRefName } from './ref-name.js'

export interface RemoteLimits {
  /** `HOST` or `HOST:PORT` that may be private, and be spoken to without TLS. */
  trustedHosts: readonly string[]
  /** For one fetch. */
  timeoutMs: number
  /** Largest pack that one fetch may bring, in bytes. */
  packBytes: number
  /** Addresses of a name; default: the system's. */
  resolve?: (name: string) => Promise<string[]>
}

export const defaultRemoteLimits: RemoteLimits = {
  trustedHosts: [],
  timeoutMs: 600_000,
  packBytes: 2 * 1024 * 1024 * 1024,
}

export interface FetchPlace {
  repository: string
  home: string
}

const refspecs = ['+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*']

/** Brings every branch and tag up to date. Throws `unavailable` with the reason in words. */
export async function fetchRemote(place: FetchPlace, source: RemoteSource, limits: RemoteLimits): Promise<void> {
  const options = ['--quiet', '--prune', '--no-tags', '--force', '--update-head-ok', '--no-write-fetch-head']
  const more = ['--no-recurse-submodules', '--no-auto-maintenance']
  const args = [`--git-dir=${place.repository}`, 'fetch', ...options, ...more, source.url, ...refspecs]
  await run(place, args, await environmentFor(place, source, limits), limits)
}

/** Brings one ref under another name. Both are names that we have made. Throws as `fetchRemote`. */
export async function fetchRemoteRef(
  place: FetchPlace,
  source: RemoteSource,
  { from, to }: { from: string; to: string },
  limits: RemoteLimits,
): Promise<void> {
  const options = ['--quiet', '--no-tags', '--force', '--no-write-fetch-head', '--no-recurse-submodules']
  const refspec = `+${from}:${to}`
  const args = [`--git-dir=${place.repository}`, 'fetch', ...options, '--no-auto-maintenance', source.url, refspec]
  await run(place, args, await environmentFor(place, source, limits), limits)
}

/** The short name of the branch that the remote's HEAD names; undefined: it names none. */
export async function remoteHead(
  place: FetchPlace,
  source: RemoteSource,
  limits: RemoteLimits,
): Promise<string | undefined> {
  const args = ['ls-remote', '--symref', source.url, 'HEAD']
  const output = await run(place, args, await environmentFor(place, source, limits), limits)
  const branch = /^ref: (\S+)\tHEAD$/m.exec(output)?.[1]
  return branch?.startsWith('refs/heads/') && isRefName(branch) ? branch.slice('refs/heads/'.length) : undefined
}

async function environmentFor(
  { home }: FetchPlace,
  { url, username, password }: RemoteSource,
  limits: RemoteLimits,
): Promise<NodeJS.ProcessEnv> {
  const { protocol, host, hostname, port } = new URL(url)
  const trusted = limits.trustedHosts.includes(host)
  if (protocol !== 'https:' && !trusted) throw failure('blocked: only https is fetched')
  const settings: [string, string][] = [
    [`protocol.${protocol.slice(0, -1)}.allow`, 'always'],
    ['http.followRedirects', 'false'],
    ['http.lowSpeedLimit', '1000'],
    ['http.lowSpeedTime', '60'],
    ['fetch.fsckObjects', 'true'],
    ['fetch.fsck.badTimezone', 'ignore'],
    ['fetch.fsck.missingSpaceBeforeDate', 'ignore'],
    ['fetch.fsck.zeroPaddedFilemode', 'ignore'],
    ['credential.helper', ''],
  ]
  if (!trusted) {
    const address = await publicAddressOf(hostname.replace(/^\[|\]$/g, ''), limits.resolve ?? allAddresses)
    if (address !== undefined) settings.push(['http.curloptResolve', `${hostname}:${port || '443'}:${address}`])
  }
  if (username !== '' || password !== '') {
    const login = Buffer.from(`${username}:${password}`).toString('base64')
    settings.push(['http.extraHeader', `Authorization: Basic ${login}`])
  }
  return { ...gitEnvironment(home, settings), GIT_ALLOW_PROTOCOL: protocol.slice(0, -1) }
}

/** Undefined for what is an address itself. */
async function publicAddressOf(
  name: string,
  resolve: (name: string) => Promise<string[]>,
): Promise<string | undefined> {
  const literal = isIP(name) !== 0
  const addresses = literal ? [name] : await resolve(name).catch(() => [])
  const [first] = addresses
  if (first === undefined) throw failure('its host is not known')
  if (!addresses.every(isPublicAddress)) throw failure('blocked: its host has an address that is not public')
  if (literal) return undefined
  return isIP(first) === 6 ? `[${first}]` : first
}

async function allAddresses(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address)
}

const lookEveryMs = 500
const mostOutput = 64 * 1024

async function run(
  { repository }: FetchPlace,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  limits: RemoteLimits,
): Promise<string> {
  const child = spawn('git', args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let reason: string | undefined
  const stop = (why: string) => {
    reason ??= why
    killGroup(child)
  }
  const timer = setTimeout(() => stop(`it took longer than ${limits.timeoutMs / 1000} s`), limits.timeoutMs)
  const watch = setInterval(() => {
    largestPack(repository)
      .then((bytes) => bytes > limits.packBytes && stop(`it has more than ${limits.packBytes} bytes`))
      .catch(asFault)
  }, lookEveryMs)
  try {
    const [output, errors, code] = await Promise.all([readAll(child.stdout), readAll(child.stderr), endOf(child)])
    if (reason !== undefined) throw failure(reason)
    if (code !== 0) throw failure(reasonIn(errors))
    return output
  } finally {
    clearTimeout(timer)
    clearInterval(watch)
  }
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}

function endOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    child.on('error', () => resolve(null))
    child.on('close', resolve)
  })
}

async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  let text = ''
  for await (const chunk of stream) if (text.length < mostOutput) text += String(chunk)
  return text
}

/** Bytes of the largest pack that is being received. */
async function largestPack(repository: string): Promise<number> {
  const folder = path.join(repository, 'objects', 'pack')
  const names = await readdir(folder).catch((): string[] => [])
  const sizes = names
    .filter((name) => name.startsWith('tmp_pack_'))
    .map((name) =>
      stat(path.join(folder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    )
  return Math.max(0, ...(await Promise.all(sizes)))
}

/** What git says, told in our words: its own may hold an address with more in it than people should see. */
const sayings: readonly [RegExp, string][] = [
  [
    /could not read Username|Authentication failed|HTTP 401|error: 401|HTTP 403|error: 403/i,
    'its host wants other credentials',
  ],
  [/not found|HTTP 404|error: 404/i, 'there is no such repository'],
  [/Could not resolve host/i, 'its host is not known'],
  [/unable to update url base from redirection|error: 30[12378]/i, 'it redirects elsewhere'],
  [/Failed to connect|Connection refused|timed out|Couldn't connect/i, 'its host does not answer'],
  [/SSL|certificate/i, 'its certificate is not good'],
  [/fsck|bad object|invalid/i, 'it has objects that are not taken'],
]

function reasonIn(errors: string): string {
  return sayings.find(([pattern]) => pattern.test(errors))?.[1] ?? 'git failed'
}

function failure(message: string): SignalboxError {
  return new SignalboxError('unavailable', message)
}
