/** One job at an engine: what it was made ready with, how its things are called, and its container. */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import type { PrepareInput, RunInput, RunResult } from '../../sdk.js'
import { jobHostConfig, labelsFor } from './container-config.js'
import { createContainer } from './containers.js'
import type { Engine } from './engine.js'
import type { Image } from './images.js'
import type { DockerOptions } from './options.js'
import { entryScript, stageScript } from './scripts.js'
import type { Service } from './services.js'
import { cacheVolumeName, isWithin, nameSafe, type VolumeSpec } from './volumes.js'

export interface Session {
  engine: Engine
  input: PrepareInput
  wanted: { name: string; entrypoint?: string[]; platform?: string; user?: string }
  image: Image
  services: Service[]
  servicesStarted: boolean
  /** Pulled when what runs is to end. */
  stop: AbortController
  /** The job's, once it is made. */
  container: string | undefined
  /** What the container was made with. */
  env: Readonly<Record<string, string>>
  network: string | undefined
  running: Promise<RunResult> | undefined
}

const scriptName = '.signalbox-script'

/** The name of something that is made for a job. */
export function nameOf({ session, runner, job }: PrepareInput, part: string): string {
  const digest = createHash('sha256').update(session).digest('hex').slice(0, 12)
  const name = `runner-${nameSafe(runner.shortToken)}-project-${job.projectId}-concurrent-${runner.slot}-${digest}`
  return part === '' ? name : `${name}-${part}`
}

/**
 * Puts the script where the container looks for it: a file of this name that is there may be a link of an earlier script.
 * @returns the file.
 */
export function writeScript(session: Session, { script, cwd, env }: RunInput): string {
  const file = path.join(session.input.folders.temp, scriptName)
  const isMade = session.container !== undefined
  const changed = Object.entries(env).filter(([key, value]) => isMade && session.env[key] !== value)
  for (const each of [file, `${file}.oom`]) fs.rmSync(each, { recursive: true, force: true })
  fs.writeFileSync(file, stageScript(script, cwd, Object.fromEntries(changed)), { flag: 'wx', mode: 0o755 })
  fs.chmodSync(file, 0o755)
  return file
}

/** Makes the container of the job. @returns its id. */
export async function makeContainer(
  session: Session,
  options: DockerOptions,
  volumes: readonly VolumeSpec[],
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const { engine, input, wanted, image, network } = session
  session.env = env
  const entrypoint = options.disable_entrypoint_overwrite ? undefined : wanted.entrypoint
  const command = ['-c', entryScript, 'sh', path.posix.join(input.inside.temp, scriptName)]
  // An entrypoint of one empty word means none: https://docs.gitlab.com/ci/docker/using_docker_images/
  const none = entrypoint?.length === 1 && entrypoint[0] === ''
  const user = wanted.user ?? options.user
  const isOwn = network !== options.network_mode
  try {
    return await createContainer(engine, {
      name: nameOf(input, 'build'),
      config: {
        Image: image.id,
        Hostname: options.hostname ?? nameOf(input, '').slice(0, 60),
        Env: environmentOf(env),
        Labels: { ...labelsFor(input, 'build'), ...options.container_labels },
        ...(none ? { Entrypoint: ['sh'], Cmd: command } : { Cmd: ['sh', ...command] }),
        ...(none || entrypoint === undefined || entrypoint.length === 0 ? {} : { Entrypoint: entrypoint }),
        ...(user === undefined || user === '' ? {} : { User: user }),
      },
      hostConfig: { ...jobHostConfig(options, wanted.name), ...(await mountsOf(session, options, volumes)) },
      network: network === undefined ? undefined : { name: network, aliases: isOwn ? ['build'] : [] },
      platform: wanted.platform,
    })
  } catch (error) {
    throw new Error(`cannot make the container of ${wanted.name}: ${(error as Error).message}`, { cause: error })
  }
}

/** The job's folders and the configured volumes, as the engine takes them. */
export async function mountsOf(
  { input, engine }: Session,
  options: DockerOptions,
  volumes: readonly VolumeSpec[],
): Promise<Record<string, unknown>> {
  const { folders, inside } = input
  const binds: string[] = []
  for (const { source, target, mode } of volumes) {
    const name = source ?? (options.disable_cache ? '' : await cacheVolume(engine, input, target, options))
    binds.push([name, target, mode].filter((part) => part !== '').join(':'))
  }
  const isCovered = volumes.some(({ source, target }) => source?.startsWith('/') && isWithin(inside.build, target))
  const bind = (Source: string, Target: string) => ({ Type: 'bind', Source, Target })
  return {
    Binds: binds,
    Mounts: [...(isCovered ? [] : [bind(folders.build, inside.build)]), bind(folders.temp, inside.temp)],
  }
}

/** A volume that later jobs find again. */
async function cacheVolume(
  engine: Engine,
  input: PrepareInput,
  target: string,
  { volume_driver: Driver }: DockerOptions,
): Promise<string> {
  const Name = cacheVolumeName(input, target)
  await engine.call('POST', '/volumes/create', {
    body: { Name, Labels: labelsFor(input, 'cache'), ...(Driver === undefined ? {} : { Driver }) },
  })
  return Name
}

/** Git asks who owns a repository; in a container that is seldom who it was on the host. git-config(1), `safe.directory`. */
function environmentOf(env: Readonly<Record<string, string>>): string[] {
  const trust =
    env.GIT_CONFIG_COUNT === undefined
      ? { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '*' }
      : {}
  return Object.entries({ ...trust, ...env }).map(([key, value]) => `${key}=${value}`)
}
