// Makes one bundle of the compiled command and the libraries that it uses: starting it reads a dozen files, not a thousand.
import { chmodSync } from 'node:fs'
import path from 'node:path'
import { rolldown } from 'rolldown'

const folder = process.argv[2] ?? 'dist'
const bundle = await rolldown({
  input: {
    main: path.join(folder, 'cli/main.js'),
    worker: path.join(folder, 'core/ci-config/worker.js'),
  },
  platform: 'node',
  // Those that find files of theirs beside themselves: compiled code, descriptions of protocols, scripts of threads.
  external: [/^better-sqlite3$/, /^grpc-health-check$/, /^pino$/, /^pg$/, /^@aws-sdk\//],
  onLog(level, log, tell) {
    if (level === 'warn' && !quiet.includes(log.code)) tell(level, log)
  },
})
// Of libraries: cycles that are harmless, and an `eval` that is never reached.
const quiet = ['CIRCULAR_DEPENDENCY', 'EVAL', 'IMPORT_IS_UNDEFINED']
await bundle.write({ dir: path.join(folder, 'bundle'), format: 'esm', chunkFileNames: '[name]-[hash].js' })
await bundle.close()
chmodSync(path.join(folder, 'bundle/main.js'), 0o755)
