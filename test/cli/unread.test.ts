/** Output that nobody reads, or that cannot be written. */
import { execFile } from 'node:child_process'
import { expect, it } from 'vitest'
import { program } from '../support/processes.js'

const shell = (script: string) =>
  new Promise<string>((resolve) => {
    execFile('bash', ['-c', script, 'bash', process.execPath, program], (_, stdout, stderr) => resolve(stdout + stderr))
  })

it.each(['--help', '--version', 'run --help', 'runner create --help', 'lint --schema', 'lint --nope', 'serve --help'])(
  'ends %s with 141 and in silence when the reader has gone',
  async (args) => {
    expect(await shell(`"$1" "$2" ${args} 2>&1 | exec true; echo \${PIPESTATUS[0]}`)).toBe('141\n')
  },
)

it('says what is wrong where the output cannot be written', async () => {
  expect(await shell('"$1" "$2" lint --schema >/dev/full; echo $?')).toMatch(
    /^70\nsignalbox: the output cannot be written: ENOSPC.*\n$/,
  )
})
