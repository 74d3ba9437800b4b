// What the compiler does not carry over: the command's executable bit and files that are not TypeScript.
import { chmodSync, cpSync } from 'node:fs'

const folder = process.argv[2] ?? 'dist'
chmodSync(`${folder}/cli/main.js`, 0o755)
cpSync('src/cli/demo/sample', `${folder}/cli/demo/sample`, { recursive: true })
