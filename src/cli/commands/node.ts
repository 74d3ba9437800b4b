/** `signalbox node list|drain|resume|remove`. */
import { openContext } from '../context.js'
import { table } from '../terminal.js'

interface Node {
  id: string
  url: string
  version: string
  self: boolean
  state: string
  started_at: string
  seen_at: string | null
}

/** Prints all nodes of the store. */
export async function listNodes(options: { json?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  const nodes = await client().get<Node[]>('/api/signalbox/v1/nodes')
  if (options.json) return json(nodes)
  table(
    terminal,
    ['NODE', 'STATE', 'VERSION', 'ADDRESS', 'SEEN'],
    nodes.map((node) => [
      node.self ? `${node.id} (this one)` : node.id,
      node.state,
      node.version,
      node.url,
      node.seen_at ?? 'stopped',
    ]),
  )
}

/** Keeps a node from new work, or lets it have some again. */
export async function drainNode(verb: 'drain' | 'resume', name: string): Promise<void> {
  const { client, terminal } = openContext()
  const node = await client().post<Node>(`/api/signalbox/v1/nodes/${encodeURIComponent(name)}/${verb}`)
  terminal.say(`${node.id}: ${node.state}`)
}

/** Forgets a node that is gone. */
export async function removeNode(name: string): Promise<void> {
  const { client, terminal } = openContext()
  await client().delete(`/api/signalbox/v1/nodes/${encodeURIComponent(name)}`)
  terminal.say(`${name}: removed`)
}
