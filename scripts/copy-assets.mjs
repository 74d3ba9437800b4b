// What the compiler does not carry over: files that are not TypeScript.
import { cpSync } from 'node:fs'

const folder = process.argv[2] ?? 'dist'
cpSync('src/cli/demo/sample', `${folder}/cli/demo/sample`, { recursive: true })
