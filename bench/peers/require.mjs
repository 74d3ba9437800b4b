// Peers are not the project's dependencies: `BENCH_PEERS` names a folder where they are installed.
import { createRequire } from 'node:module'
import path from 'node:path'

/** The peer's module; undefined where it is not installed. */
export function peer(name) {
  if (!process.env.BENCH_PEERS) return undefined
  try {
    return createRequire(path.join(process.env.BENCH_PEERS, 'package.json'))(name)
  } catch {
    return undefined
  }
}
