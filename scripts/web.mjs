// Builds the page, and leaves of each file only what is sent: compressed.
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { constants, gzipSync } from 'node:zlib'
import { build } from 'vite'

const folder = path.resolve(process.argv[2] ?? 'dist')
const made = path.join(folder, 'web')
await build({
  root: 'src/web',
  configFile: false,
  logLevel: 'warn',
  build: {
    outDir: made,
    emptyOutDir: true,
    // No data in addresses of images or scripts: what the page may load is its own.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2022',
  },
})
for (const entry of readdirSync(made, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue
  const file = path.join(entry.parentPath, entry.name)
  writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: constants.Z_BEST_COMPRESSION }))
  rmSync(file)
}
// Beside the files that are named by what they hold.
renameSync(path.join(made, 'index.html.gz'), path.join(made, 'page.html.gz'))
