/**
 * Who we are to a registry. Asked in this order, as GitLab Runner does (`helpers/docker/auth/auth.go`): the job's variable
 * DOCKER_AUTH_CONFIG, the runner's own `~/.docker/config.json`, what the coordinator gave with the job.
 */
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { registryOf } from './image-names.js'

export interface RegistryAuth {
  username?: string
  password?: string
  identitytoken?: string
  serveraddress: string
}

/** A user and a password for a registry, as the coordinator gives them. */
export interface GivenCredential {
  url: string
  username: string
  password: string
}

export interface AuthSources {
  /** The value of DOCKER_AUTH_CONFIG; empty if there is none. */
  variable: string
  credentials: readonly GivenCredential[]
  /** The runner's own environment. */
  env: NodeJS.ProcessEnv
}

interface DockerConfig {
  auths?: Record<string, { auth?: string; username?: string; password?: string; identitytoken?: string }>
  credsStore?: string
  credHelpers?: Record<string, string>
}

/** All that may be tried for an image, the best first; each with where it is from, for people. */
export async function authsFor(image: string, sources: AuthSources): Promise<{ from: string; auth: RegistryAuth }[]> {
  const registry = registryOf(image)
  const found: { from: string; auth: RegistryAuth }[] = []
  const add = async (from: string, look: () => Promise<RegistryAuth | undefined>) => {
    const auth = await look()
    if (auth !== undefined) found.push({ from, auth })
  }
  if (sources.variable.trim() !== '') {
    await add('$DOCKER_AUTH_CONFIG', () => inConfig(parse(sources.variable, '$DOCKER_AUTH_CONFIG'), registry))
  }
  const file = configFile(sources.env)
  if (fs.existsSync(file)) await add(file, () => inConfig(parse(fs.readFileSync(file, 'utf8'), file), registry))
  const given = sources.credentials.find(({ url }) => sameRegistry(url, registry))
  if (given) {
    const { username, password } = given
    found.push({ from: 'job payload (GitLab Registry)', auth: { username, password, serveraddress: registry } })
  }
  return found
}

/** As the header `X-Registry-Auth`: https://docs.docker.com/reference/api/engine/#section/Authentication */
export function authHeader(auth: RegistryAuth): Record<string, string> {
  // With padding, which Node's base64url leaves out: engines insist on it.
  const text = Buffer.from(JSON.stringify(auth)).toString('base64').replaceAll('+', '-').replaceAll('/', '_')
  return { 'x-registry-auth': text }
}

function configFile(env: NodeJS.ProcessEnv): string {
  return path.join(env.DOCKER_CONFIG || path.join(env.HOME || os.homedir(), '.docker'), 'config.json')
}

function parse(text: string, from: string): DockerConfig {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch {
    // Said below, without the text: it holds passwords.
  }
  throw new Error(`${from} is not a JSON object`)
}

async function inConfig(config: DockerConfig, registry: string): Promise<RegistryAuth | undefined> {
  const helper = Object.entries(config.credHelpers ?? {}).find(([host]) => sameRegistry(host, registry))?.[1]
  for (const name of [helper, config.credsStore]) {
    if (!name) continue
    const auth = await fromHelper(name, registry)
    if (auth !== undefined) return auth
  }
  const entry = Object.entries(config.auths ?? {}).find(([host]) => sameRegistry(host, registry))?.[1]
  if (!entry) return undefined
  const { identitytoken } = entry
  const [username, ...rest] = Buffer.from(entry.auth ?? '', 'base64')
    .toString()
    .split(':')
  const pair = entry.auth
    ? { username, password: rest.join(':') }
    : { username: entry.username, password: entry.password }
  if (!identitytoken && !pair.username) return undefined
  return {
    ...(pair.username ? { username: pair.username, password: pair.password ?? '' } : {}),
    ...(identitytoken ? { identitytoken } : {}),
    serveraddress: registry,
  }
}

/** Docker's own registry goes by several names. */
function sameRegistry(given: string, registry: string): boolean {
  const host = given
    .replace(/^https?:\/\//, '')
    .replace(/\/.*$/, '')
    .toLowerCase()
  const plain = ['index.docker.io', 'registry-1.docker.io'].includes(host) ? 'docker.io' : host
  return plain === registry.toLowerCase()
}

const helperMs = 30_000

/**
 * Asks a credential helper: https://docs.docker.com/reference/cli/docker/login/#credential-helper-protocol. Nothing if it
 * knows nothing. The name may come from a job: it can name programs of this kind only.
 */
function fromHelper(name: string, registry: string): Promise<RegistryAuth | undefined> {
  if (!/^[A-Za-z0-9][\w-]*$/.test(name))
    return Promise.reject(new Error(`no credential helper can be called ${JSON.stringify(name)}`))
  const server = registry === 'docker.io' ? 'https://index.docker.io/v1/' : registry
  return new Promise((resolve, reject) => {
    const child = execFile(`docker-credential-${name}`, ['get'], { timeout: helperMs }, (error, stdout) => {
      if (error) {
        if (/not found in native keychain/.test(stdout)) return resolve(undefined)
        return reject(
          new Error(`docker-credential-${name} gives no credentials for ${registry}: ${error.code ?? error.message}`),
        )
      }
      try {
        const { Username, Secret } = JSON.parse(stdout) as { Username: string; Secret: string }
        const serveraddress = registry
        // https://github.com/docker/docker-credential-helpers: a token goes by this name.
        resolve(
          Username === '<token>'
            ? { identitytoken: Secret, serveraddress }
            : { username: Username, password: Secret, serveraddress },
        )
      } catch {
        reject(new Error(`docker-credential-${name} does not answer in JSON`))
      }
    })
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(server)
  })
}
