/**
 * What a driver is told, and what it may answer, as GitLab Runner has it: https://docs.gitlab.com/runner/executors/custom/
 */
import type { PrepareInput } from '../../sdk.js'

/** The codes that a driver ends with. */
export const driverCodes = { buildFailure: 1, systemFailure: 2 } as const

/** What `config_exec` may say; other keys are not looked at. */
export interface DriverConfig {
  hostname: string | undefined
  driver: string | undefined
  shell: 'bash' | 'sh'
  jobEnv: Record<string, string>
  /** Settings that are not followed here. */
  ignored: string[]
}

const notFollowed = ['builds_dir', 'cache_dir', 'builds_dir_is_shared']

/** Reads the output of `config_exec`; nothing means the defaults. Throws `Error` for what is no such JSON. */
export function readDriverConfig(text: string): DriverConfig {
  const given: unknown = text.trim() === '' ? {} : JSON.parse(text)
  if (!isTable(given)) throw new Error('config_exec has printed no JSON object')
  const { hostname, driver, shell = 'bash', job_env: jobEnv = {} } = given
  if (shell !== 'bash' && shell !== 'sh')
    throw new Error(`config_exec asks for the shell ${JSON.stringify(shell)}: bash and sh are known`)
  if (!isTable(jobEnv) || Object.values(jobEnv).some((value) => typeof value !== 'string')) {
    throw new Error('config_exec has printed a job_env that is no table of texts')
  }
  const { name, version } = isTable(driver) ? driver : {}
  return {
    hostname: typeof hostname === 'string' ? hostname : undefined,
    driver: typeof name === 'string' ? [name, ...(typeof version === 'string' ? [version] : [])].join(' ') : undefined,
    shell,
    jobEnv: jobEnv as Record<string, string>,
    ignored: notFollowed.filter((key) => given[key] !== undefined),
  }
}

/** The job's variables and services as the driver's environment has them. */
export function customEnv(
  job: PrepareInput['job'],
  variables: Readonly<Record<string, string>>,
): Record<string, string> {
  const services = job.services.map(({ name, alias = '', entrypoint = null, command = null, variables: own }) => ({
    name,
    alias: alias.split(/[\s,]+/)[0],
    entrypoint,
    command,
    ...(Object.keys(own).length === 0 ? {} : { variables: own }),
  }))
  const all = { ...variables, CI_JOB_SERVICES: services.length === 0 ? '' : JSON.stringify(services) }
  return Object.fromEntries(Object.entries(all).map(([key, value]) => [`CUSTOM_ENV_${key}`, value]))
}

/** `JOB_RESPONSE_FILE`: what is known here of the job, in the words of the answer to a poll. */
export function jobResponse({ job }: PrepareInput): object {
  const { variables } = job
  return {
    id: job.id,
    token: variables.CI_JOB_TOKEN ?? '',
    job_info: {
      name: job.name,
      stage: variables.CI_JOB_STAGE ?? '',
      project_id: job.projectId,
      project_name: variables.CI_PROJECT_NAME ?? '',
    },
    git_info: {
      repo_url: variables.CI_REPOSITORY_URL ?? '',
      ref: variables.CI_COMMIT_REF_NAME ?? '',
      sha: variables.CI_COMMIT_SHA ?? '',
    },
    variables: Object.entries(variables).map(([key, value]) => ({ key, value, public: key in job.publicVariables })),
    image: job.image === undefined ? { name: '' } : { name: job.image.name, entrypoint: job.image.entrypoint ?? null },
    services: job.services.map(({ name, alias = '', entrypoint = null, command = null }) => ({
      name,
      alias,
      entrypoint,
      command,
    })),
    credentials: job.credentials.map((one) => ({ type: 'registry', ...one })),
  }
}

/** A script that needs nothing around it: wherever the driver runs it, it has its variables and its folder. */
export function selfContained(
  script: string,
  cwd: string,
  env: Readonly<Record<string, string>>,
  shell: 'bash' | 'sh',
): string {
  const exports = Object.entries(env)
    .filter(([name]) => /^[A-Za-z_]\w*$/.test(name))
    .map(([name, value]) => `export ${name}=${quote(value)}`)
  return [`#!/usr/bin/env ${shell}`, ...exports, `mkdir -p ${quote(cwd)} && cd ${quote(cwd)} || exit 1`, script].join(
    '\n',
  )
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
