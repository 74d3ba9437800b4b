/** The files by which git is given what a job's sources take. */
import fs from 'node:fs'
import path from 'node:path'
import type { TlsFileNames } from '../client-tls.js'
import type { JobContext } from './context.js'
import type { JobFolders } from './folders.js'
import type { JobPayload } from './payload.js'
import { quote } from './script.js'

/** Writes the files that the script of `sourcesScript` reads. */
export function writeGitFiles(
  payload: JobPayload,
  folders: JobFolders,
  coordinatorUrl: string,
  { insteadOf, http }: Pick<JobContext, 'insteadOf' | 'http'>,
): void {
  const template = path.join(folders.temp, 'git-template')
  const { temp, inside } = folders
  const { tlsCaFile } = http.tlsFiles
  const given = credentials(payload, coordinatorUrl)
  // What another job, or a hook of this one, has left under these names may be a link, or hold hooks.
  const names = [...gitFiles, ...given.map((_, index) => `.git-credentials-${index}`)]
  for (const name of names) fs.rmSync(path.join(temp, name), { recursive: true, force: true })
  fs.mkdirSync(template, { recursive: true })
  // The repository's settings are read by the job's own commands, too.
  const included = path.join(inside.temp, '.git.conf')
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
  const headers: string[] = []
  for (const [index, { base, user, password, proactive }] of given.entries()) {
    writeFor(folders, `.git-credentials-${index}`, `username=${user}\npassword=${password}\n`)
    if (!proactive) continue
    const basic = Buffer.from(`${user}:${password}`).toString('base64')
    headers.push(`[http ${configValue(`${base}/`)}]\n\textraHeader = ${configValue(`Authorization: Basic ${basic}`)}\n`)
  }
  for (const { url, base } of insteadOf) {
    headers.push(`[url ${configValue(base)}]\n\tinsteadOf = ${configValue(url)}\n`)
  }
  headers.push(tlsSection(coordinatorUrl, http.tlsFiles))
  // Git takes no submodule from a folder unless it is told to: here it is, by whoever started the runner.
  if (insteadOf.length > 0) headers.push('[protocol "file"]\n\tallow = always\n')
  const helpers = (folder: string) =>
    given
      .map(({ base }, index) => {
        const helper = `!f() { test "$1" = get && cat ${quote(path.join(folder, `.git-credentials-${index}`))}; }; f`
        return `[credential ${configValue(base)}]\n\thelper =\n\thelper = ${configValue(helper)}\n`
      })
      .join('')
  // The certificate that the runner shows is not the job's, and neither is a CA of this host where the job is elsewhere.
  const trusted = inside.temp === temp && tlsCaFile !== undefined ? tlsSection(coordinatorUrl, { tlsCaFile }) : ''
  writeFor(folders, '.git.conf', helpers(inside.temp) + trusted)
  if (inside.temp !== temp) {
    fs.writeFileSync(path.join(temp, '.git-host.conf'), helpers(temp), { mode: 0o600 })
    headers.push(`[include]\n\tpath = ${configValue(path.join(temp, '.git-host.conf'))}\n`)
  }
  fs.writeFileSync(path.join(temp, '.git-fetch.conf'), headers.join(''), { mode: 0o600 })
}

/** What git is told of the coordinator's TLS. */
function tlsSection(coordinatorUrl: string, { tlsCaFile, tlsCertFile, tlsKeyFile }: TlsFileNames): string {
  const files = { sslCAInfo: tlsCaFile, sslCert: tlsCertFile, sslKey: tlsKeyFile }
  const lines = Object.entries(files).flatMap(([key, file]) =>
    file === undefined ? [] : [`\t${key} = ${configValue(path.resolve(file))}\n`],
  )
  const { origin } = parseHttp(coordinatorUrl) ?? {}
  return lines.length === 0 || origin === undefined ? '' : `[http ${configValue(`${origin}/`)}]\n${lines.join('')}`
}

/** Writes a file that the job's own commands read: whoever they are, if they see other folders. */
function writeFor({ temp, inside }: JobFolders, name: string, content: string): void {
  const file = path.join(temp, name)
  fs.writeFileSync(file, content, { mode: 0o600, flag: 'wx' })
  if (inside.temp !== temp) fs.chmodSync(file, 0o666)
}

const gitFiles = ['git-template', '.git.conf', '.git-host.conf', '.git-fetch.conf', '.git-under-way']

/** What our own fetch needed and the job must not find in its hands. */
export function removeFetchFiles(folders: JobFolders): void {
  for (const name of ['.git-fetch.conf', '.git-host.conf']) fs.rmSync(path.join(folders.temp, name), { force: true })
}

/** Whether a script of `sourcesScript` ended while our own git commands ran: no hook of the user's has failed then. */
export function endedInGit(folders: JobFolders): boolean {
  return fs.existsSync(path.join(folders.temp, '.git-under-way'))
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
