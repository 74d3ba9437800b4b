/** Removes what jobs have left at an engine. */
import { labels } from './container-config.js'
import { listContainers, listNetworks, removeContainer, unlessGone } from './containers.js'
import type { Engine } from './engine.js'

/** Everything of one session: containers, then the networks that they were in. */
export async function removeSession(engine: Engine, session: string): Promise<void> {
  await removeLabelled(engine, [`${labels.session}=${session}`])
}

async function removeLabelled(
  engine: Engine,
  wanted: readonly string[],
): Promise<{ containers: string[]; networks: string[] }> {
  const containers = await listContainers(engine, wanted)
  await Promise.all(containers.map(({ Id }) => removeContainer(engine, Id)))
  const networks = await listNetworks(engine, wanted)
  for (const { Id } of networks) await engine.call('DELETE', `/networks/${Id}`).catch(unlessGone)
  return {
    containers: containers.map(({ Id, Names }) => Names[0]?.replace(/^\//, '') ?? Id),
    networks: networks.map(({ Name }) => Name),
  }
}
