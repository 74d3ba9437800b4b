/**
 * `npm run demo`: a coordinator, a fleet of one WebSocket, one gRPC and one polling runner, and a push of the bundled
 * sample repository. Everything lies in a temporary folder and listens on free ports; everything is real.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { defaultSettings } from '../../config/settings.js'
import { languageThreads } from '../../core/ci-config/language-pool.js'
import { is } from '../../core/lifecycle/job-machine.js'
import { createProject } from '../../core/operations/create-project.js'
import { createRunner } from '../../core/operations/create-runner.js'
import { type JobView, listJobViews } from '../../core/store/job-views.js'
import { getPipeline } from '../../core/store/pipelines.js'
import { findUser } from '../../core/store/users.js'
import { packageRoot } from '../../package-root.js'
import { type Server, startServer } from '../../server.js'
import { type Context, openContext } from '../context.js'
import { errorsOnly } from '../errors-only.js'
import { Exit, exitCodes } from '../exit.js'
import { PipelineView } from '../follow.js'
import { duration, statusText, table } from '../terminal.js'

const sample = path.join(packageRoot(), 'dist/cli/demo/sample')
const samplePath = 'demo/sample'
/** The command itself, for the runners. */
const program = process.argv[1]!

const fleet = [
  { name: 'willow', transport: 'websocket' },
  { name: 'gorse', transport: 'grpc' },
  { name: 'poplar', transport: 'poll' },
] as const

/** Runs the demo and ends, or with `keep` stays up until it is told to end. */
export async function demo(options: { keep?: boolean }): Promise<void> {
  const context = openContext()
  const place = mkdtempSync(path.join(os.tmpdir(), 'signalbox-demo-'))
  const children: ChildProcess[] = []
  let server: Server | undefined
  try {
    server = await startServer({
      settings: { ...defaultSettings(path.join(place, 'data')), http: '127.0.0.1:0', grpc: '127.0.0.1:0' },
      log: errorsOnly(context.terminal.say),
      language: languageThreads(),
      fatal: (error) => {
        throw error
      },
    })
    context.terminal.say(`coordinator at ${server.httpUrl} and ${server.grpcUrl}`)
    for (const { name, transport } of fleet) children.push(await startChild(server, place, name, transport))
    await fleetWaits(server)
    const pipelineId = await pushSample(server, place)
    const jobs = await follow(server, pipelineId, context)
    const { status } = await getPipeline(server.core.store.read, pipelineId)
    conclude(context, jobs, status)
    if (options.keep) await stay(server, context, `${server.httpUrl}/${samplePath}/-/pipelines/${pipelineId}`)
  } finally {
    for (const child of children) child.kill('SIGKILL')
    await server?.close()
    rmSync(place, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function startChild(
  server: Server,
  place: string,
  name: string,
  transport: (typeof fleet)[number]['transport'],
): Promise<ChildProcess> {
  const { token } = await createRunner(server.core, { type: 'instance', description: name })
  const url = transport === 'grpc' ? server.grpcUrl : server.httpUrl
  return spawn(
    process.execPath,
    [program, 'runner', 'start', '--url', url, '--transport', transport, '--work-dir', path.join(place, name)],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, SIGNALBOX_RUNNER_TOKEN: token, SIGNALBOX_LOG_LEVEL: 'error' },
    },
  )
}

const fleetWithinMs = 60_000

/** Until all three wait for work: then the first stage, which has more jobs than there are runners, gives each one. */
async function fleetWaits(server: Server): Promise<void> {
  const deadline = Date.now() + fleetWithinMs
  while (server.core.dispatcher.waiters < fleet.length) {
    if (Date.now() > deadline) throw new Exit(exitCodes.failed, 'the runners did not connect')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Makes the project and pushes the sample with git, as a person would. Returns the pipeline that the push made. */
async function pushSample(server: Server, place: string): Promise<number> {
  const { core } = server
  const user = (await findUser(core.store.read, 1))!
  const project = await createProject(core, { path: samplePath, user })
  const folder = path.join(place, 'sample')
  cpSync(sample, folder, { recursive: true })
  const basic = Buffer.from(`root:${server.adminToken}`).toString('base64')
  const env = {
    ...process.env,
    // In the environment, since arguments can be seen by everybody on the machine.
    GIT_CONFIG_COUNT: '3',
    GIT_CONFIG_KEY_0: 'http.extraHeader',
    GIT_CONFIG_VALUE_0: `Authorization: Basic ${basic}`,
    GIT_CONFIG_KEY_1: 'user.name',
    GIT_CONFIG_VALUE_1: 'Demo',
    GIT_CONFIG_KEY_2: 'user.email',
    GIT_CONFIG_VALUE_2: 'demo@localhost',
  }
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: folder, env, stdio: ['ignore', 'ignore', 'pipe'] })
  git('init', '--quiet', '--initial-branch=main')
  git('add', '--all')
  git('commit', '--quiet', '--message', 'A sample')
  const made = new Promise<number>((resolve) => {
    const stop = core.events.listen((event) => {
      if (event.kind !== 'pipeline.created' || event.projectId !== project.id) return
      stop()
      resolve(event.pipelineId!)
    })
  })
  const pushing = spawn('git', ['push', '--quiet', `${server.httpUrl}/${samplePath}.git`, 'main'], {
    cwd: folder,
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const pushed = new Promise<void>((resolve, reject) => {
    pushing.once('exit', (code) =>
      code === 0 ? resolve() : reject(new Exit(exitCodes.failed, `git push ended with ${code}`)),
    )
  })
  const [pipelineId] = await Promise.all([made, pushed])
  return pipelineId
}

async function follow(server: Server, pipelineId: number, { terminal }: Context): Promise<JobView[]> {
  const { core } = server
  const view = new PipelineView(terminal)
  const ended = new Promise<void>((resolve, reject) => {
    const look = async () => {
      const pipeline = await getPipeline(core.store.read, pipelineId)
      const jobs = await listJobViews(core.store.read, pipelineId)
      view.update({ id: pipelineId, status: pipeline.status, jobs })
      if (is('completed', pipeline.status)) resolve()
    }
    core.events.listen((event) => {
      if (event.pipelineId === pipelineId) look().catch(reject)
    })
    look().catch(reject)
  })
  await ended
  view.close()
  return listJobViews(core.store.read, pipelineId)
}

function conclude({ terminal }: Context, jobs: JobView[], status: string): void {
  table(
    terminal,
    ['JOB', 'RUNNER', 'TRANSPORT', 'WAIT', 'STATUS'],
    jobs.map((job) => [
      job.name,
      job.runner ?? '',
      job.transport ?? '',
      job.queued_at !== null && job.started_at !== null ? `${job.started_at - job.queued_at} ms` : '',
      job.status === 'failed' && job.allow_failure ? 'failed (allowed)' : job.status,
    ]),
  )
  const missing = fleet.filter(({ transport }) => !jobs.some((job) => job.transport === transport))
  if (status !== 'success' || missing.length > 0) {
    const why = missing.length > 0 ? `no job ran over ${missing.map((one) => one.transport).join(', ')}` : ''
    throw new Exit(exitCodes.failed, `demo failed: the pipeline is ${status} ${why}`.trim())
  }
  const took = Math.max(...jobs.map((job) => job.finished_at ?? 0)) - Math.min(...jobs.map((job) => job.created_at))
  const counts = fleet.map(
    ({ transport }) => `${jobs.filter((job) => job.transport === transport).length} ${transport}`,
  )
  terminal.say(`pipeline ${statusText(terminal, status)}`)
  terminal.out(`demo ok: ${jobs.length} jobs, ${counts.join(', ')}, in ${duration(took / 1000)}`)
}

/** Stays up until it is interrupted. */
async function stay(server: Server, { terminal }: Context, page: string): Promise<void> {
  // Whoever opens the address has signed in; elsewhere the token is typed in.
  terminal.out(`look at ${page}#token=${server.adminToken}`)
  terminal.out(`sign in there with the access token ${server.adminToken}`)
  terminal.say('interrupt to end it')
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
}
