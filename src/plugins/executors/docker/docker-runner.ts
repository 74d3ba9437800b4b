/** Runs the scripts of jobs in containers of an engine that serves Docker's API. */
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type {
  CancelInput,
  ExecutorRunner,
  PlaceInput,
  Placement,
  PrepareInput,
  PrepareResult,
  RunInput,
  RunResult,
} from '../../sdk.js'
import { removeSession } from './clean-up.js'
import { labelsFor } from './container-config.js'
import { execIn, killContainer, runContainer } from './containers.js'
import { Engine } from './engine.js'
import { findEngine } from './find-engine.js'
import { ImageError } from './images.js'
import type { DockerOptions } from './options.js'
import { giveBack } from './ownership.js'
import { politeScript } from './scripts.js'
import { startServices } from './services.js'
import { makeContainer, mountsOf, nameOf, type Session, writeScript } from './session.js'
import { parseVolume, placeOf, type VolumeSpec } from './volumes.js'
import { jobImage, serviceImages } from './wanted-images.js'

/**
 * Each job has one container, made at its first script and started anew for each; its services are started before the first
 * step. The host's folders of the job are mounted into all of them.
 */
export class DockerRunner implements ExecutorRunner {
  readonly #sessions = new Map<string, Session>()
  /** Sessions that are being made ready; one that is cleaned up meanwhile is not to come. */
  readonly #coming = new Set<string>()
  readonly #volumes: VolumeSpec[]
  #engine: Engine | undefined

  constructor(
    private readonly options: DockerOptions,
    private readonly env: NodeJS.ProcessEnv,
  ) {
    this.#volumes = options.volumes.map(parseVolume)
  }

  place({ path: project }: PlaceInput): Placement {
    return placeOf(project, this.#volumes)
  }

  async prepare(input: PrepareInput, output: (chunk: Uint8Array) => Promise<void>): Promise<PrepareResult> {
    const say = (text: string) => output(Buffer.from(`${text}\n`))
    const refused = (reason: 'image_pull_failure' | 'runner_configuration_error', message: string): PrepareResult => ({
      failure: { reason, message },
    })
    const wanted = { ...input.job.image, name: input.job.image?.name ?? this.options.image ?? '' }
    if (wanted.name === '') {
      return refused(
        'runner_configuration_error',
        'no image to run the job in: give it one by `image:`, or the runner by `image`',
      )
    }
    this.#coming.add(input.session)
    try {
      const engine = await this.#reached()
      const around = { engine, options: this.options, input, env: this.env, say }
      const services = await serviceImages(around)
      const image = await jobImage(wanted, around)
      await say(`Using docker image ${image.id.replace(/^sha256:/, '').slice(0, 12)} for ${wanted.name} ...`)
      if (!this.#coming.has(input.session)) throw new Error('the job has ended meanwhile')
      this.#sessions.set(input.session, {
        engine,
        input,
        wanted,
        image,
        services,
        servicesStarted: false,
        stop: new AbortController(),
        container: undefined,
        env: {},
        network: this.options.network_mode,
        running: undefined,
      })
      return { facts: { image: wanted.name, engine: engine.name }, shell: 'sh' }
    } catch (error) {
      if (!(error instanceof ImageError)) throw error
      return refused(error.kind === 'pull' ? 'image_pull_failure' : 'runner_configuration_error', error.message)
    } finally {
      this.#coming.delete(input.session)
    }
  }

  async run(input: RunInput, output: (chunk: Uint8Array) => Promise<void>): Promise<RunResult> {
    const session = this.#sessions.get(input.session)
    if (session === undefined) throw new Error(`session ${input.session} is not prepared`)
    const running = this.#run(session, input, output)
    session.running = running
    try {
      return await running
    } finally {
      session.running = undefined
    }
  }

  async cancel({ session: name, graceMs }: CancelInput): Promise<void> {
    const session = this.#sessions.get(name)
    if (session?.running === undefined) return
    session.stop.abort()
    const ended = session.running.then(
      () => true,
      () => true,
    )
    const { engine, container } = session
    if (container !== undefined && graceMs > 0) {
      const asked = await execIn(engine, container, ['sh', '-c', politeScript]).then(
        () => true,
        () => false,
      )
      const late = new AbortController()
      if (asked) await Promise.race([ended, sleep(graceMs, false, { signal: late.signal }).catch(() => false)])
      late.abort()
    }
    // Until it is over: the container may only be on its way to its start.
    for (let over = false; !over; ) {
      if (session.container !== undefined) await killContainer(engine, session.container).catch(() => undefined)
      over = await Promise.race([ended, sleep(200, false)])
    }
    session.stop = new AbortController()
  }

  async cleanUp({ session: name }: { session: string }): Promise<void> {
    const session = this.#sessions.get(name)
    this.#sessions.delete(name)
    // Nothing is made before the first script.
    if (this.#coming.delete(name)) return
    const engine = session?.engine ?? (await this.#reached())
    await removeSession(engine, name)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sessions.keys()].map((session) => this.cleanUp({ session }).catch(() => undefined)))
  }

  async #run(session: Session, input: RunInput, output: (chunk: Uint8Array) => Promise<void>): Promise<RunResult> {
    const { engine, stop } = session
    const say = (text: string) => output(Buffer.from(`${text}\n`))
    if (input.stage.startsWith('step_') && !session.servicesStarted) {
      session.servicesStarted = true
      await this.#startServices(session, say)
    }
    if (stop.signal.aborted) return { exitCode: null, signal: 'SIGTERM' }
    const file = writeScript(session, input)
    session.container ??= await makeContainer(session, this.options, this.#volumes, input.env)
    if (stop.signal.aborted) return { exitCode: null, signal: 'SIGTERM' }
    const { exitCode, outOfMemory } = await runContainer(engine, session.container, output)
    if (outOfMemory || fs.lstatSync(`${file}.oom`, { throwIfNoEntry: false })?.isFile()) {
      await say('\x1b[31;1mERROR: the container was out of memory, and was killed\x1b[0;m')
    }
    await giveBack(engine, session, (part) => nameOf(session.input, part), say)
    return { exitCode, signal: null }
  }

  async #startServices(session: Session, say: (text: string) => Promise<void>): Promise<void> {
    const { engine, input, services, stop } = session
    if (services.length === 0) return
    if (session.network === undefined) {
      const name = nameOf(input, 'network')
      await engine.call('POST', '/networks/create', { body: { Name: name, Labels: labelsFor(input, 'network') } })
      session.network = name
    }
    await startServices(services, {
      engine,
      options: this.options,
      input,
      network: session.network,
      mounts: await mountsOf(session, this.options, this.#volumes),
      nameOf: (part) => nameOf(input, part),
      say,
      signal: stop.signal,
    })
  }

  async #reached(): Promise<Engine> {
    const { host, tls_cert_path: certPath, tls_verify: tlsVerify } = this.options
    const hints = {
      ...(host === undefined ? {} : { host }),
      ...(certPath === undefined ? {} : { certPath }),
      ...(tlsVerify === undefined ? {} : { tlsVerify }),
    }
    const address = findEngine(hints, this.env)
    if (address === undefined)
      throw new Error('no container engine: neither DOCKER_HOST is set nor is there a socket of Docker or Podman')
    this.#engine ??= new Engine(address)
    return this.#engine
  }
}
