/** The repository that the coordinator of `signalbox run` hosts: the snapshot, and what the clone knows besides it. */
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { LocalRefs } from './local-refs.js'
import { pushedRefs } from './local-refs.js'
import type { Snapshot } from './snapshot.js'
import type { WorkingTree } from './working-tree.js'

/**
 * Fills a fresh bare repository: the objects are borrowed, the refs are those of the clone, and `ref` (in full) points to
 * the snapshot.
 */
export function fillRepository(
  repository: string,
  { tree, snapshot, refs, ref }: { tree: WorkingTree; snapshot: Snapshot; refs: LocalRefs; ref: string },
): void {
  mkdirSync(path.join(repository, 'objects', 'info'), { recursive: true })
  writeFileSync(
    path.join(repository, 'objects', 'info', 'alternates'),
    snapshot.objects.map((one) => `${one}\n`).join(''),
  )
  // Where history ends in a shallow clone, it ends for those who fetch from here.
  const shallow = tree.commonDir === undefined ? undefined : path.join(tree.commonDir, 'shallow')
  if (shallow && existsSync(shallow)) copyFileSync(shallow, path.join(repository, 'shallow'))
  const all = tree.objectFormat === 'sha1' ? pushedRefs(refs) : new Map<string, string>()
  // A file and a folder cannot have one name: `topic` goes where `topic/one` is to be, and the other way round.
  for (const name of [...all.keys()]) if (ref.startsWith(`${name}/`) || name.startsWith(`${ref}/`)) all.delete(name)
  all.set(ref, snapshot.sha)
  const lines = [...all].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, id]) => `${id} ${name}\n`)
  writeFileSync(path.join(repository, 'packed-refs'), lines.join(''))
}
