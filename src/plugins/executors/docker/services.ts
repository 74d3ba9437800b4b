/** Services: containers beside the job's, found by their names. */
import fs from 'node:fs'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PrepareInput } from '../../sdk.js'
import { labelsFor, serviceHostConfig } from './container-config.js'
import { createContainer, startContainer } from './containers.js'
import { type Engine, EngineError } from './engine.js'
import { serviceNames } from './image-names.js'
import type { Image } from './images.js'
import type { DockerOptions } from './options.js'

export type ServiceWanted = PrepareInput['job']['services'][number]

export interface Service {
  wanted: ServiceWanted
  image: Image
}

export interface ServiceSurroundings {
  engine: Engine
  options: DockerOptions
  input: PrepareInput
  network: string
  mounts: Record<string, unknown>
  nameOf: (part: string) => string
  say: (text: string) => Promise<void>
  signal: AbortSignal
}

/**
 * Starts the services, and waits until the ports that their images expose are listened on. One that is not heard in time is
 * warned of, with what it has said, and the job goes on. Source: GitLab Runner, `executors/docker/services.go`.
 */
export async function startServices(services: readonly Service[], around: ServiceSurroundings): Promise<void> {
  if (services.length === 0) return
  const { options, say } = around
  const started: { service: Service; id: string }[] = []
  for (const [index, service] of services.entries()) {
    await say(`Starting service ${service.wanted.name} ...`)
    started.push({ service, id: await startService(service, index, around) })
  }
  const seconds = options.wait_for_services_timeout
  if (seconds <= 0) return
  await say(`Waiting for services to be up and running (timeout ${seconds} seconds)...`)
  await Promise.all(started.map((each) => waitFor(each, seconds, around)))
}

async function startService({ wanted, image }: Service, index: number, around: ServiceSurroundings): Promise<string> {
  const { engine, options, input, network, mounts, nameOf } = around
  const id = await createContainer(engine, {
    name: nameOf(`service-${index}`),
    config: {
      Image: image.id,
      Env: Object.entries({ ...input.job.publicVariables, ...wanted.variables }).map(
        ([key, value]) => `${key}=${value}`,
      ),
      Labels: { ...labelsFor(input, 'service'), ...options.container_labels },
      ...(wanted.command === undefined || wanted.command.length === 0 ? {} : { Cmd: wanted.command }),
      ...(wanted.entrypoint === undefined || wanted.entrypoint.length === 0 ? {} : { Entrypoint: wanted.entrypoint }),
      ...(wanted.user === undefined ? {} : { User: wanted.user }),
    },
    hostConfig: { ...serviceHostConfig(options, wanted.name), ...mounts },
    network: { name: network, aliases: network === 'host' ? [] : serviceNames(wanted.name, wanted.alias) },
    platform: wanted.platform,
  })
  await startContainer(engine, id)
  return id
}

interface Inspected {
  State: { Running: boolean; Pid: number; ExitCode: number; Health?: { Status?: string } | null }
  NetworkSettings: { IPAddress?: string; Networks?: Record<string, { IPAddress?: string }> }
}

async function waitFor(
  { service, id }: { service: Service; id: string },
  seconds: number,
  around: ServiceSurroundings,
): Promise<void> {
  const { engine, signal } = around
  const { ports } = service.image
  if (ports.length === 0) return
  const until = performance.now() + seconds * 1000
  let problem = `none of its ports (${ports.join(', ')}) is listened on after ${seconds} s`
  for (let pauseMs = 20; performance.now() < until; pauseMs = Math.min(pauseMs * 1.5, 500)) {
    if (signal.aborted) return
    const found = await engine.call<Inspected>('GET', `/containers/${id}/json`)
    if (!found.State.Running) {
      problem = `it has ended with exit code ${found.State.ExitCode}`
      break
    }
    if (found.State.Health?.Status === 'healthy' || (await isListening(found, ports))) return
    await sleep(pauseMs)
  }
  await warn(problem, service, id, around)
}

/**
 * Whether somebody listens on one of the ports, by what the kernel says of the container's network, or by calling there:
 * the one is not possible for an engine on another host, the other not for one whose networks this host cannot reach.
 */
async function isListening({ State, NetworkSettings }: Inspected, ports: readonly string[]): Promise<boolean> {
  const numbers = ports.filter((each) => !each.endsWith('/udp')).map((each) => Number.parseInt(each, 10))
  if (numbers.length === 0) return true
  const heard = listeners(State.Pid)
  if (numbers.some((port) => heard.has(port))) return true
  const addresses = [
    NetworkSettings.IPAddress,
    ...Object.values(NetworkSettings.Networks ?? {}).map((each) => each.IPAddress),
  ]
  const tries = addresses.filter((each) => each).flatMap((host) => numbers.map((port) => answers(host!, port)))
  return (await Promise.all(tries)).includes(true)
}

/** Ports with a listener in the network of a process: proc(5), `/proc/PID/net/tcp`, state 0A. Those of loopback are no use. */
function listeners(pid: number): Set<number> {
  const ports = new Set<number>()
  for (const file of pid > 0 ? [`/proc/${pid}/net/tcp`, `/proc/${pid}/net/tcp6`] : []) {
    let table = ''
    try {
      table = fs.readFileSync(file, 'latin1')
    } catch {
      // Another host's process, or one that is gone.
    }
    for (const [, address, port] of table.matchAll(/^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ 0A /gm)) {
      if (!address!.endsWith('7F')) ports.add(Number.parseInt(port!, 16))
    }
  }
  return ports
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port, timeout: 1000 })
    const end = (heard: boolean) => {
      socket.destroy()
      resolve(heard)
    }
    socket.once('connect', () => end(true))
    socket.once('timeout', () => end(false))
    socket.once('error', () => end(false))
  })
}

const logLines = 50

async function warn(
  problem: string,
  { wanted }: Service,
  id: string,
  { engine, say }: ServiceSurroundings,
): Promise<void> {
  const lines = await logsOf(engine, id).catch((error: unknown) => (error instanceof EngineError ? error.message : ''))
  await say(
    `\x1b[0;33mWARNING: Service ${wanted.name} probably did not start properly: ${problem}.\x1b[0;m` +
      (lines.trim() === '' ? '' : `\nWhat it wrote last:\n${lines.trimEnd()}`),
  )
}

async function logsOf(engine: Engine, id: string): Promise<string> {
  const { pumpFrames } = await import('./frames.js')
  const answer = await engine.stream('GET', `/containers/${id}/logs`, {
    query: { stdout: 1, stderr: 1, tail: logLines },
  })
  let text = ''
  await pumpFrames(answer, async (chunk) => {
    if (text.length < 64 * 1024) text += Buffer.from(chunk).toString('utf8')
  })
  return text
}
