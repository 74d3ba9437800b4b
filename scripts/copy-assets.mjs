// What the compiler does not carry into dist/: the command's executable bit and files that are not TypeScript.
import { chmodSync, cpSync, existsSync } from 'node:fs'

if (existsSync('dist/cli/main.js')) chmodSync('dist/cli/main.js', 0o755)
if (existsSync('src/cli/demo'))
  cpSync('src/cli/demo', 'dist/cli/demo', { recursive: true, filter: (from) => !from.endsWith('.ts') })
