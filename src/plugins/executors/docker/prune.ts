/** Removes from an engine what jobs and runners have left there, whoever made it. */
import { labels } from './container-config.js'
import { listContainers, listNetworks, removeContainer, unlessGone } from './containers.js'
import { Engine, EngineError } from './engine.js'
import { type EngineHints, findEngine } from './find-engine.js'

/** What is to go. */
export interface PruneInput {
  hints: EngineHints
  env: NodeJS.ProcessEnv
  /** Short tokens of the runners whose things may go; undefined: of all. */
  runners: readonly string[] | undefined
  /** Sessions of jobs that are under way: theirs stay. Asked once all is listed, so that no job begins in between. */
  sessions: () => ReadonlySet<string>
  /** Volumes that keep folders between jobs go too. */
  volumes: boolean
  /** Nothing is removed: only told. */
  dryRun: boolean
}

/** Names of what was removed, and of volumes that something uses. */
export interface Pruned {
  engine: string
  containers: string[]
  networks: string[]
  volumes: string[]
  inUse: string[]
}

type Labelled = { Labels?: Record<string, string> | null }

/** Containers first, then what they hold. Rejects where there is no engine. */
export async function pruneEngine(input: PruneInput): Promise<Pruned> {
  const address = findEngine(input.hints, input.env)
  if (address === undefined) {
    throw new Error('no container engine: neither DOCKER_HOST is set nor is there a socket of Docker or Podman')
  }
  const engine = new Engine(address)
  const managed = [`${labels.managed}=true`]
  const listed = {
    containers: await listContainers(engine, managed),
    networks: await listNetworks(engine, managed),
    volumes: input.volumes ? await listVolumes(engine, managed) : [],
  }
  const sessions = input.sessions()
  const mayGo = ({ Labels }: Labelled) => {
    const { [labels.runner]: runner = '', [labels.session]: session = '' } = Labels ?? {}
    return (input.runners?.includes(runner) ?? true) && !sessions.has(session)
  }
  const containers = listed.containers.filter(mayGo)
  const networks = listed.networks.filter(mayGo)
  const volumes = listed.volumes.filter(mayGo)
  const inUse: string[] = []
  if (!input.dryRun) {
    await Promise.all(containers.map(({ Id }) => removeContainer(engine, Id)))
    for (const { Id } of networks) await engine.call('DELETE', `/networks/${Id}`).catch(unlessGone)
    for (const { Name } of volumes) if (!(await removeVolume(engine, Name))) inUse.push(Name)
  }
  return {
    engine: engine.name,
    containers: containers.map(({ Id, Names }) => Names[0]?.replace(/^\//, '') ?? Id),
    networks: networks.map(({ Name }) => Name),
    volumes: volumes.map(({ Name }) => Name).filter((name) => !inUse.includes(name)),
    inUse,
  }
}

async function listVolumes(engine: Engine, wanted: readonly string[]): Promise<(Labelled & { Name: string })[]> {
  const query = { filters: JSON.stringify({ label: wanted }) }
  const { Volumes } = await engine.call<{ Volumes: (Labelled & { Name: string })[] | null }>('GET', '/volumes', {
    query,
  })
  return Volumes ?? []
}

/** False: a container uses it. */
async function removeVolume(engine: Engine, name: string): Promise<boolean> {
  try {
    await engine.call('DELETE', `/volumes/${encodeURIComponent(name)}`)
  } catch (error) {
    if (error instanceof EngineError && error.status === 404) return true
    if (error instanceof EngineError && error.status === 409) return false
    throw error
  }
  return true
}
