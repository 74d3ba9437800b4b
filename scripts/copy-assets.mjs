// What the compiler does not carry over: files that are not TypeScript.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { brotliCompressSync } from 'node:zlib'

const folder = process.argv[2] ?? 'dist'
cpSync('src/cli/demo/sample', `${folder}/cli/demo/sample`, { recursive: true })
cpSync('src/cli/plugin-template', `${folder}/cli/plugin-template`, { recursive: true })
// As the server sends it: for people it is indented, in half a megabyte.
for (const name of ['openapi.json', 'signalbox.schema.json']) {
  const text = JSON.stringify(JSON.parse(readFileSync(`docs/${name}`, 'utf8')))
  writeFileSync(`${folder}/${name}.br`, brotliCompressSync(text))
}
