/** A `[[runners]]` of a GitLab Runner's `config.toml`, as `signalbox-runner.toml` has it. */
import { isDockerSetting } from '../plugins/executors/docker/options.js'
import type { RunnerFields } from './write-runner-file.js'

type Table = Record<string, unknown>

/** Executors that the reference runner has. */
export const ownExecutors: readonly string[] = ['shell', 'docker', 'custom']

/** The entry, and what of the executor's settings has no counterpart. */
export interface OwnEntry {
  entry: RunnerFields
  /** The file beside it that its token belongs into; undefined: the entry has the token. */
  tokenFile: string | undefined
  missing: { key: string; why: string }[]
}

const dockerKeys: Record<string, string> = {
  helper_image: 'no helper image is needed',
  helper_image_flavor: 'no helper image is needed',
  helper_image_autoset_arch_and_os: 'no helper image is needed',
  links: 'services and their aliases do that',
  cache_dir: 'caches are kept by the coordinator',
  log_options: 'logs go to the coordinator',
}

/** `token`: where it stays what it is. Undefined for an executor that is not to be had here. */
export function ownEntry(
  runner: Table,
  { name, url, token, executor }: { name: string; url: string; token: string | undefined; executor: string },
): OwnEntry | undefined {
  if (!ownExecutors.includes(executor)) return undefined
  const tokenFile = token === undefined ? `${name.replace(/[^\w.-]/g, '_')}.token` : undefined
  const { settings, missing } = settingsOf(runner, executor)
  const { limit, builds_dir: builds } = runner
  return {
    tokenFile,
    missing,
    entry: {
      name,
      url,
      ...(tokenFile === undefined ? { token } : { token_file: tokenFile }),
      executor,
      ...(typeof limit === 'number' && limit > 0 ? { limit } : {}),
      ...(executor !== 'docker' && typeof builds === 'string' && builds !== '' ? { work_dir: builds } : {}),
      ...settings,
    },
  }
}

function settingsOf(runner: Table, executor: string): { settings: Table; missing: OwnEntry['missing'] } {
  if (executor === 'docker') return dockerSettings(runner)
  // Its keys are the same here.
  const { custom } = runner
  return { settings: executor === 'custom' && custom !== undefined ? { custom } : {}, missing: [] }
}

function dockerSettings({ docker, builds_dir }: Table): { settings: Table; missing: OwnEntry['missing'] } {
  const given = Object.entries(typeof docker === 'object' && docker !== null && !Array.isArray(docker) ? docker : {})
  const taken = given.filter(([key, value]) => isDockerSetting(key) && value !== '')
  const lost = given.filter(([key]) => !isDockerSetting(key))
  return {
    settings: taken.length === 0 ? {} : { docker: Object.fromEntries(taken) },
    missing: [
      ...lost.map(([key]) => ({ key: `runners.docker.${key}`, why: dockerKeys[key] ?? 'there is no such setting' })),
      ...(builds_dir === undefined ? [] : [{ key: 'runners.builds_dir', why: 'sources are at /builds in containers' }]),
    ],
  }
}
