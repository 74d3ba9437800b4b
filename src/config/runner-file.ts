/** Reads `signalbox-runner.toml`: the runners that one process is to be. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parse, TomlError } from 'smol-toml'
import * as z from 'zod/mini'
import { defined } from '../core/defined.js'
import { address, oneOf, setting, table, text, wholeNumber } from './kinds.js'
import { SettingsError } from './settings.js'

const urlMessage = 'must be an address with http(s)://, ws(s):// or grpc(s)://'
const tableMessage = 'must be a table'

const entry = table({
  name: setting(z.string('must be a text').check(z.minLength(1, 'must not be empty')), 'Tells it apart in this file.'),
  url: setting(
    z
      .string(urlMessage)
      .check(z.refine((url) => URL.canParse(url) && /^(https?|wss?|grpcs?):$/.test(new URL(url).protocol), urlMessage)),
    'The coordinator.',
  ),
  token: setting(z.optional(text()), 'The authentication token (`glrt-…`), or'),
  token_file: setting(z.optional(text()), 'a file that holds it, seen from this one.'),
  transport: setting(z.optional(oneOf(['websocket', 'grpc', 'poll'])), 'Default by the URL.'),
  tls_ca_file: setting(z.optional(text()), 'CA of the coordinator, in PEM, seen from this file.', {
    default: 'public CAs',
  }),
  tls_cert_file: setting(z.optional(text()), 'Certificate to show it, and'),
  tls_key_file: setting(z.optional(text()), 'its key.'),
  executor: setting(z.prefault(text(), 'shell'), '`shell`, `docker`, `custom`.'),
  limit: setting(z.optional(wholeNumber({ from: 1 })), 'Jobs of this runner at once.', { default: '`concurrent`' }),
  work_dir: setting(z.optional(text()), 'Where its jobs work.', { default: '`work_dir/NAME`' }),
  shell: setting(z.optional(z.record(z.string(), z.unknown(), tableMessage)), 'Settings of the shell executor.'),
  docker: setting(z.optional(z.record(z.string(), z.unknown(), tableMessage)), 'Settings of the docker executor.'),
  custom: setting(z.optional(z.record(z.string(), z.unknown(), tableMessage)), 'Settings of the custom executor.'),
}).check(
  z.refine((one) => (one.token === undefined) !== (one.token_file === undefined), {
    path: ['token'],
    error: 'or token_file must be given, and not both',
  }),
)

/** All of the file. */
export const runnerFileTable = table({
  concurrent: setting(z.prefault(wholeNumber({ from: 1 }), 1), 'Jobs of all runners together at once.'),
  work_dir: setting(z.prefault(text(), './signalbox-work'), 'Where jobs work, seen from this file.'),
  metrics: setting(z.optional(address()), '`HOST:PORT`: the figures of all runners are served there, at `/metrics`.'),
  runners: setting(
    z.array(entry, 'must be [[runners]] tables').check(z.minLength(1, 'must be one or more [[runners]] tables')),
    'The runners.',
  ),
})

/** Files of TLS, as absolute paths. */
export type TlsFileNames = Partial<Record<'tlsCaFile' | 'tlsCertFile' | 'tlsKeyFile', string>>

/** One runner of the file, with everything found that it names. */
export interface RunnerEntry {
  name: string
  url: string
  token: string
  transport: 'websocket' | 'grpc' | 'poll' | undefined
  tls: TlsFileNames
  executor: string
  limit: number
  workDir: string
  /** Settings of executors, by the executor's name. */
  settings: Record<string, Record<string, unknown>>
}

/** What the file says. */
export interface RunnerFile {
  concurrent: number
  /** Where figures are served; undefined: nowhere. */
  metrics: string | undefined
  runners: RunnerEntry[]
}

/** Whether a settings file is one of runners, rather than of plugins: one that cannot be read is of neither. */
export function hasRunners(file: string): boolean {
  try {
    return Object.hasOwn(parsed(file), 'runners')
  } catch {
    // Whoever reads it says why, and where.
    return true
  }
}

/** Reads and checks the file. Throws `SettingsError`, which says where what is wrong. */
export function readRunnerFile(file: string): RunnerFile {
  const read = runnerFileTable.safeParse(parsed(file), { jitless: true })
  if (!read.success) {
    const { path: place, message } = read.error.issues[0]!
    throw new SettingsError(`${file}: ${dotted(place)}`, message)
  }
  const folder = path.dirname(path.resolve(file))
  const { concurrent, metrics, work_dir: workDir, runners } = read.data
  const seen = new Set<string>()
  return {
    concurrent,
    metrics,
    runners: runners.map((one, index) => {
      const place = `${file}: runners[${index}]`
      const home = path.resolve(folder, one.work_dir ?? path.join(workDir, one.name.replace(/[^\w.-]/g, '_')))
      for (const each of [`name ${one.name}`, `work_dir ${home}`]) {
        if (seen.has(each)) throw new SettingsError(place, `${each} is another runner's, too`)
        seen.add(each)
      }
      return {
        name: one.name,
        url: one.url,
        token: one.token ?? tokenIn(path.resolve(folder, one.token_file!), place),
        transport: one.transport,
        tls: tlsIn(folder, one),
        executor: one.executor,
        limit: Math.min(one.limit ?? concurrent, concurrent),
        workDir: home,
        settings: defined({ shell: one.shell, docker: one.docker, custom: one.custom }),
      }
    }),
  }
}

function tlsIn(folder: string, one: z.infer<typeof entry>): TlsFileNames {
  const from = (file: string | undefined) => (file === undefined ? undefined : path.resolve(folder, file))
  return defined({
    tlsCaFile: from(one.tls_ca_file),
    tlsCertFile: from(one.tls_cert_file),
    tlsKeyFile: from(one.tls_key_file),
  })
}

function parsed(file: string): Record<string, unknown> {
  let source: string
  try {
    source = readFileSync(file, 'utf8')
  } catch (error) {
    throw new SettingsError(file, `cannot be read: ${(error as Error).message}`)
  }
  try {
    return parse(source)
  } catch (error) {
    if (error instanceof TomlError) throw new SettingsError(`${file}:${error.line}:${error.column}`, error.message)
    throw error
  }
}

function tokenIn(file: string, place: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new SettingsError(`${place}.token_file`, `cannot be read: ${(error as Error).message}`)
  }
}

function dotted(place: readonly PropertyKey[]): string {
  const text = place.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('')
  return text.replace(/^\./, '')
}
