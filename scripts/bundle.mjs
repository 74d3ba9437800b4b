// Makes one bundle of the compiled command and the libraries that it uses: starting it reads a dozen files, not a thousand.
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { rolldown } from 'rolldown'

const folder = process.argv[2] ?? 'dist'
const { dependencies, optionalDependencies } = JSON.parse(readFileSync('package.json', 'utf8'))
const bundle = await rolldown({
  input: {
    main: path.join(folder, 'cli/main.js'),
    worker: path.join(folder, 'core/ci-config/worker.js'),
    'plugin-child': path.join(folder, 'plugins/plugin-child.js'),
    'plugin-testing': path.join(folder, 'plugins/testing/index.js'),
  },
  platform: 'node',
  // What is installed beside us is left outside, and everything else is held: package.json says which is which.
  external: Object.keys({ ...dependencies, ...optionalDependencies }).map((name) => new RegExp(`^${name}(/|$)`)),
  // Nobody's getters do anything but answer, so what is only read and not used can go.
  treeshake: { propertyReadSideEffects: false },
  onLog(level, log, tell) {
    if (level === 'warn' && !quiet.includes(log.code)) tell(level, log)
  },
})
// Of libraries: cycles that are harmless, and an `eval` that is never reached.
const quiet = ['CIRCULAR_DEPENDENCY', 'EVAL', 'IMPORT_IS_UNDEFINED']
const { output } = await bundle.write({
  dir: path.join(folder, 'bundle'),
  format: 'esm',
  chunkFileNames: '[name]-[hash].js',
  comments: { legal: false, annotation: false, jsdoc: false },
  // Small: of names only those of methods stay, and what errors say of themselves.
  minify: {
    compress: { keepNames: { function: false, class: false } },
    mangle: { keepNames: { function: false, class: false } },
    codegen: { removeWhitespace: true },
  },
})
await bundle.close()
chmodSync(path.join(folder, 'bundle/main.js'), 0o755)

// What their authors ask of those who pass their code on.
const held = output.flatMap(({ moduleIds = [] }) =>
  moduleIds.map((id) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0]),
)
const byText = new Map()
for (const home of [...new Set(held)].filter(Boolean).sort()) {
  const { name, version, license } = JSON.parse(readFileSync(path.join(home, 'package.json'), 'utf8'))
  const file = readdirSync(home).find((one) => /^licen[cs]e/i.test(one))
  const text = file ? readFileSync(path.join(home, file), 'utf8').trim() : ''
  byText.set(text, [...(byText.get(text) ?? []), `${name} ${version} (${license})`])
}
const notices = [...byText].map(([text, names]) => `${names.join('\n')}\n\n${text}\n`)
writeFileSync(path.join(folder, 'bundle/LICENSES.txt'), notices.join(`\n${'-'.repeat(80)}\n\n`))
