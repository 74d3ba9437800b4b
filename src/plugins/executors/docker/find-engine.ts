/** Finds the engine that serves Docker's API on this host. */
import fs from 'node:fs'
import path from 'node:path'

/** How an engine is reached. */
export type EngineAddress =
  | { kind: 'socket'; path: string }
  | {
      kind: 'tcp'
      host: string
      port: number
      tls: { ca: Buffer; cert: Buffer; key: Buffer; verify: boolean } | undefined
    }

/** What says where an engine is, beside the places where one usually listens. */
export interface EngineHints {
  /** As `DOCKER_HOST`: `unix:///path`, `tcp://host:port`. */
  host?: string
  /** The folder of `ca.pem`, `cert.pem` and `key.pem`. */
  certPath?: string
  tlsVerify?: boolean
}

/**
 * The address of the engine: what is configured, else `DOCKER_HOST`, else the first socket that is there. Order and names:
 * https://docs.docker.com/reference/cli/docker/#environment-variables and podman-system-service(1).
 * @returns nothing where there is none.
 * @throws Error for an address that cannot be meant.
 */
export function findEngine(hints: EngineHints, env: NodeJS.ProcessEnv): EngineAddress | undefined {
  const host = hints.host || env.DOCKER_HOST
  if (host) return addressOf(host, hints, env)
  const socket = usualSockets(env).find((file) => fs.statSync(file, { throwIfNoEntry: false })?.isSocket())
  return socket === undefined ? undefined : { kind: 'socket', path: socket }
}

/** Where engines listen, Docker's first. */
export function usualSockets(env: NodeJS.ProcessEnv): string[] {
  const runtime = env.XDG_RUNTIME_DIR
  return [
    '/var/run/docker.sock',
    ...(runtime ? [path.join(runtime, 'docker.sock'), path.join(runtime, 'podman/podman.sock')] : []),
    '/run/podman/podman.sock',
  ]
}

function addressOf(text: string, hints: EngineHints, env: NodeJS.ProcessEnv): EngineAddress {
  if (text.startsWith('unix://')) return { kind: 'socket', path: text.slice('unix://'.length) }
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isTcp = url !== undefined && /^(tcp|https?):$/.test(url.protocol)
  if (!isTcp || url.hostname === '') {
    throw new Error(`${JSON.stringify(text)} is not the address of an engine: unix:///PATH or tcp://HOST:PORT`)
  }
  const verify = hints.tlsVerify ?? Boolean(env.DOCKER_TLS_VERIFY)
  const certPath = hints.certPath || env.DOCKER_CERT_PATH
  const secure = url.protocol === 'https:' || verify || Boolean(hints.certPath)
  const read = (name: string) => fs.readFileSync(path.join(certPath ?? '', name))
  const tls =
    secure && certPath ? { ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem'), verify } : undefined
  // The ports that are set aside for it.
  return { kind: 'tcp', host: url.hostname, port: Number(url.port) || (secure ? 2376 : 2375), tls }
}
