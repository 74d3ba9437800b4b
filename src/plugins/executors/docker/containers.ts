/** Containers: made, run to their end, removed. */
import { type Engine, EngineError } from './engine.js'
import { pumpFrames } from './frames.js'

export interface ContainerSpec {
  name: string
  config: Record<string, unknown>
  hostConfig: Record<string, unknown>
  network?: { name: string; aliases: string[] } | undefined
  platform?: string | undefined
}

/** Makes a container. @returns its id. */
export async function createContainer(engine: Engine, spec: ContainerSpec): Promise<string> {
  const { name, config, hostConfig, network, platform } = spec
  const made = await engine.call<{ Id: string }>('POST', '/containers/create', {
    query: { name, platform },
    body: {
      ...config,
      HostConfig: { ...hostConfig, ...(network === undefined ? {} : { NetworkMode: network.name }) },
      ...(network === undefined || network.aliases.length === 0
        ? {}
        : { NetworkingConfig: { EndpointsConfig: { [network.name]: { Aliases: network.aliases } } } }),
    },
  })
  return made.Id
}

export async function startContainer(engine: Engine, id: string): Promise<void> {
  await engine.call('POST', `/containers/${id}/start`)
}

export interface ContainerEnd {
  exitCode: number
  outOfMemory: boolean
}

/** Starts a container that is there, hands over what it writes, and waits for its end. */
export async function runContainer(
  engine: Engine,
  id: string,
  output: (chunk: Uint8Array) => Promise<void>,
): Promise<ContainerEnd> {
  const stream = await engine.hijack(`/containers/${id}/attach`, { query: { stream: 1, stdout: 1, stderr: 1 } })
  let told = true
  // A connection that breaks is no end of the container: that is waited for below.
  const pumping = pumpFrames(stream, output).catch((error: NodeJS.ErrnoException) => {
    if (stream.errored !== error && error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
    told = false
  })
  try {
    await startContainer(engine, id)
    await pumping
    const { StatusCode } = await engine.call<{ StatusCode: number }>('POST', `/containers/${id}/wait`, { timeoutMs: 0 })
    if (!told)
      await output(
        Buffer.from('\nWARNING: the connection to the container’s output broke; what it wrote since is missing\n'),
      )
    const outOfMemory = StatusCode === 137 && (await wasOutOfMemory(engine, id))
    return { exitCode: StatusCode, outOfMemory }
  } finally {
    stream.destroy()
    await pumping.catch(() => undefined)
  }
}

async function wasOutOfMemory(engine: Engine, id: string): Promise<boolean> {
  const { State } = await engine.call<{ State: { OOMKilled?: boolean } }>('GET', `/containers/${id}/json`)
  return State.OOMKilled === true
}

/** Runs a command in a container that runs, as its root. Rejects where that cannot be. */
export async function execIn(engine: Engine, id: string, command: string[]): Promise<void> {
  const { Id } = await engine.call<{ Id: string }>('POST', `/containers/${id}/exec`, {
    body: { Cmd: command, User: '0', AttachStdout: false, AttachStderr: false },
  })
  await engine.call('POST', `/exec/${Id}/start`, { body: { Detach: true } })
}

/** Ends what runs in a container at once. One that does not run is as good. */
export async function killContainer(engine: Engine, id: string): Promise<void> {
  await engine.call('POST', `/containers/${id}/kill`, { query: { signal: 'SIGKILL' } }).catch(unlessGone)
}

/** Removes a container with the volumes that have no name. */
export async function removeContainer(engine: Engine, id: string): Promise<void> {
  await killContainer(engine, id).catch(() => undefined)
  await engine.call('DELETE', `/containers/${id}`, { query: { force: true, v: true } }).catch(unlessGone)
}

/** 404: not there any more; 409: it does not run, or is being removed. */
export function unlessGone(error: unknown): void {
  if (error instanceof EngineError && [404, 409].includes(error.status)) return
  // Podman's word for a container that does not run.
  if (error instanceof EngineError && /not running|no such|can only kill running/i.test(error.message)) return
  throw error
}

/** What is listed under some labels. */
export async function listContainers(
  engine: Engine,
  labels: readonly string[],
): Promise<{ Id: string; Names: string[]; Labels: Record<string, string>; Created: number }[]> {
  return engine.call('GET', '/containers/json', { query: { all: true, filters: JSON.stringify({ label: labels }) } })
}

export async function listNetworks(
  engine: Engine,
  labels: readonly string[],
): Promise<{ Id: string; Name: string; Labels: Record<string, string> }[]> {
  return engine.call('GET', '/networks', { query: { filters: JSON.stringify({ label: labels }) } })
}
