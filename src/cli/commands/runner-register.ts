/** `signalbox runner register`: a new runner for this host's file. */
import os from 'node:os'
import path from 'node:path'
import type { TlsFileNames } from '../../runner/client-tls.js'
import { askAbout, registerAt } from '../ask-coordinator.js'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { findRunnerFile, usualRunnerFiles } from '../runner-file-of.js'
import { runnerToken } from '../runner-token.js'
import { clientTls } from '../tls-fetch.js'
import { addToRunnerFile, type RunnerFields } from '../write-runner-file.js'

/** What a runner is registered with; `register` of `runner start` takes the same. */
export interface RegisterOptions extends TlsFileNames {
  config?: string
  url?: string
  token?: string
  tokenFile?: string
  name?: string
  executor: string
  limit?: string
  dockerImage?: string
  description?: string
  tags?: string
  runUntagged?: boolean
}

/**
 * Puts a runner into the file: one that was created (`glrt-…`), once its coordinator has said that it knows the token, or one
 * that a registration token makes there.
 */
export async function registerRunner(options: RegisterOptions): Promise<void> {
  const { terminal, env } = openContext()
  const file = findRunnerFile(options.config) ?? usualRunnerFiles[0]
  const url = options.url ?? env.SIGNALBOX_URL
  if (!url) throw new Exit(exitCodes.usage, 'no coordinator: give --url, or set SIGNALBOX_URL')
  const given = runnerToken(options)
  if (given === undefined) {
    throw new Exit(exitCodes.usage, 'no token: set SIGNALBOX_RUNNER_TOKEN, or give --token-file FILE or --token')
  }
  const limit = options.limit === undefined ? undefined : Number(options.limit)
  const name = options.name ?? os.hostname()
  const runner: RunnerFields = {
    name,
    url,
    executor: options.executor,
    ...tlsKeys(options),
    ...(limit === undefined ? {} : { limit }),
    ...(options.dockerImage === undefined ? {} : { docker: { image: options.dockerImage } }),
  }
  await addToRunnerFile(file, runner, () => tokenFor(url, given, options, name))
  terminal.say(`runner ${name} stands in ${file}; a service that runs takes it up at SIGHUP`)
}

/** As the file has them: absolute, since it lies elsewhere. */
function tlsKeys({ tlsCaFile, tlsCertFile, tlsKeyFile }: TlsFileNames): Record<string, string> {
  const files = { tls_ca_file: tlsCaFile, tls_cert_file: tlsCertFile, tls_key_file: tlsKeyFile }
  return Object.fromEntries(
    Object.entries(files).flatMap(([key, file]) => (file === undefined ? [] : [[key, path.resolve(file)]])),
  )
}

/** A runner's own token as it is, or what a registration token is good for. */
async function tokenFor(url: string, given: string, options: RegisterOptions, name: string): Promise<string> {
  const isOwn = /^glrt-/.test(given)
  const { tags, runUntagged, description = name } = options
  if (!isOwn) {
    const untagged = tags === undefined ? {} : { tag_list: tags, run_untagged: runUntagged === true }
    return registerAt(url, { token: given, description, ...untagged }, clientTls(process.env, options))
  }
  if (tags !== undefined || runUntagged !== undefined || options.description !== undefined) {
    throw new Exit(exitCodes.usage, 'this runner has been created: tags and the like are changed at the coordinator')
  }
  const asked = await askAbout(url, given, clientTls(process.env, options))
  if (asked.is === 'refused') throw new Exit(exitCodes.notAllowed, `${url} does not know this token`)
  if (asked.is === 'unreachable') throw new Exit(exitCodes.unreachable, asked.message)
  return given
}
