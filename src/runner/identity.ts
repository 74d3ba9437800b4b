/** Who this runner is: the program's name and version, and the machine's `system_id`. */
import { createHash, randomInt } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { packageRoot } from '../package-root.js'

/** What this program says of itself, in the words of GitLab's runner API. */
export const program: Record<'name' | 'version' | 'revision' | 'platform' | 'architecture', string> = {
  name: 'signalbox-runner',
  version: readVersion(),
  revision: '',
  platform: process.platform === 'win32' ? 'windows' : process.platform,
  architecture: { x64: 'amd64', ia32: '386' }[process.arch as string] ?? process.arch,
}

export const userAgent = `${program.name} ${program.version} (${program.platform}/${program.architecture})`

/**
 * The part of a token that may be shown: nine characters after the known prefixes. Source: GitLab Runner,
 * `helpers/shorten_token.go`.
 */
export function shortToken(token: string): string {
  const bare = token
    .replace(/^glrt-(t[123]_)?|^t[123]_|^glrtr-/, '')
    .replace(/^glcbt-/, '')
    .replace(/^GR[0-9A-Fa-f]{7}/, '')
  return bare.slice(0, 9).replace(/[^A-Za-z0-9_-]/g, '_')
}

/** Tells runners apart without telling their tokens. */
export function tokenDigest(token: string): string {
  return createHash('sha256').update(token).digest('hex').slice(0, 16)
}

/**
 * Names this manager for as long as its work folder lives. Source of the form: GitLab Runner, `common/system_id_state.go`
 * (`r_` and twelve characters for an id that was drawn).
 */
export function systemId(workDir: string): string {
  const file = path.join(workDir, '.runner_system_id')
  const known = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim() : ''
  if (/^[rs]_[0-9A-Za-z]{12}$/.test(known)) return known
  const fresh = `r_${randomText(12)}`
  fs.writeFileSync(file, fresh, { mode: 0o600 })
  return fresh
}

export function randomText(length: number): string {
  const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
  return Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('')
}

function readVersion(): string {
  const manifest: unknown = JSON.parse(fs.readFileSync(path.join(packageRoot(), 'package.json'), 'utf8'))
  return (manifest as { version: string }).version
}
