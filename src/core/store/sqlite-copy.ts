/** A copy of a SQLite database that is written to meanwhile, as of one moment: made in a thread of its own. */
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'

/** What the thread runs. As text, so that it needs no file of its own whether the program is built or not. */
const program = `
const { workerData } = require('node:worker_threads')
const Sqlite = require(workerData.addon)
const db = new Sqlite(workerData.file, { readonly: true })
db.prepare('vacuum into ?').run(workerData.target)
db.close()
`

/** Resolves when the copy is complete. Rejects if it cannot be made, or `target` is there already. */
export function copySqlite(file: string, target: string): Promise<void> {
  const addon = createRequire(import.meta.url).resolve('better-sqlite3')
  const worker = new Worker(program, { eval: true, workerData: { file, target, addon }, execArgv: [] })
  return new Promise((resolve, reject) => {
    worker.once('error', reject)
    worker.once('exit', (code) => (code === 0 ? resolve() : reject(new Error('the database could not be copied'))))
  })
}
