import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import type { ExecutorRunner } from '../../src/plugins/sdk.js'
import { noOutput, prepareInput } from '../support/prepare-input.js'
import { Harness } from './support/harness.js'
import { isAlive, stubborn, stubbornPids } from './support/processes.js'

test('gives everything that a script writes, in the order in which it was written', async () => {
  await using shell = await openSession()
  const { text, result } = await shell.run('for i in 1 2 3; do echo out $i; echo err $i >&2; done; exit 3')
  expect(text).toBe('out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n')
  expect(result).toEqual({ exitCode: 3, signal: null })
})

test('hears what comes through a helper that ends after the script', async () => {
  await using shell = await openSession()
  const { text } = await shell.run(`exec > >(sleep 0.1; cat) 2>&1\necho last words`)
  expect(text).toBe('last words\n')
})

test('loses no last words however busy the process is', async () => {
  await using shell = await openSession()
  const running = shell.run("sleep 0.02; printf 'last words\\n'")
  // The script ends while we are busy, and more than the pause between two looks passes before we see it.
  const until = performance.now() + 500
  await shell.runner.cancel({ session: 'nobody', graceMs: 0 })
  while (performance.now() < until) Math.sqrt(until)
  expect((await running).text).toBe('last words\n')
})

test('lets a script wait whose output nobody takes', async () => {
  await using shell = await openSession()
  await using other = await openSession()
  let taken: () => void = () => undefined
  const gate = new Promise<void>((resolve) => {
    taken = resolve
  })
  let first: () => void = () => undefined
  const begun = new Promise<void>((resolve) => {
    first = resolve
  })
  let bytes = 0
  const running = shell.runner.run(shell.input(`seq 1 100000; touch '${shell.file('done')}'`), async (chunk) => {
    first()
    if (bytes === 0) await gate
    bytes += chunk.length
  })
  await begun
  // One whose output is taken gets to its end meanwhile.
  await other.run('seq 1 100000')
  expect(fs.existsSync(shell.file('done'))).toBe(false)
  taken()
  await running
  expect(bytes).toBe(588_895)
})

test('hands the script over in a file that only its owner can read, never in the arguments', async () => {
  await using shell = await openSession()
  const { text } = await shell.run(
    'stat -c "%a" "$0"; tr "\\0" " " < /proc/$$/cmdline; echo; cat < /dev/stdin; echo the-secret',
  )
  expect(text).toMatch(/^700\n/)
  expect(text.split('\n')[1]).not.toContain('the-secret')
  expect(fs.readdirSync(shell.temp)).toEqual([])
})

test('asks politely, waits as long as it was told, and kills what is left', async () => {
  await using shell = await openSession()
  const polite = shell.run("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done")
  await shell.says('ready')
  await shell.runner.cancel({ session: shell.session, graceMs: 60_000 })
  const { text, result } = await polite
  expect(text).toMatch(/^ready\n(.*\n)*bye\n$/)
  expect(result.exitCode).toBe(0)
  const rude = shell.run(stubborn(shell.folder).join('\n'))
  await shell.says('is ready')
  const pids = stubbornPids(shell.folder)
  await shell.runner.cancel({ session: shell.session, graceMs: 50 })
  expect(pids.map(isAlive)).toEqual([false, false, false])
  expect((await rude).result).toEqual({ exitCode: null, signal: 'SIGKILL' })
})

test('does not run a script whose output cannot be kept', async () => {
  await using shell = await openSession()
  const running = shell.runner.run(shell.input('echo $$; while :; do sleep 0.05; done'), async (chunk) => {
    fs.writeFileSync(shell.file('pid'), chunk)
    throw new Error('the disk is full')
  })
  await expect(running).rejects.toThrow('the disk is full')
  expect(isAlive(Number(fs.readFileSync(shell.file('pid'), 'utf8')))).toBe(false)
})

test('ends what a session has left, also one of an earlier process, and nothing else', async () => {
  await using mine = await openSession()
  await using other = await openSession()
  const { text } = await mine.run('(setsid sleep 1000 & echo $!); sleep 1000 & echo $!')
  const theirs = await other.run('(setsid sleep 1000 & echo $!)')
  const pids = text.trim().split('\n').map(Number)
  // A runner that knows nothing but the session's name.
  const next = mine.harness.shell().runner as ExecutorRunner
  await next.cleanUp({ session: mine.session })
  expect(pids.map(isAlive)).toEqual([false, false])
  expect(isAlive(Number(theirs.text))).toBe(true)
})

test('says what is wrong when a script cannot be run', async () => {
  await using shell = await openSession()
  const gone = { ...shell.input('true'), cwd: path.join(shell.folder, 'gone') }
  await expect(shell.runner.run(gone, async () => undefined)).rejects.toThrow(/the folder .*gone is gone/)
  const unknown = { ...shell.input('true'), session: 'unknown' }
  await expect(shell.runner.run(unknown, async () => undefined)).rejects.toThrow('session unknown is not prepared')
})

/** The shell executor with one session prepared. */
async function openSession() {
  const harness = await Harness.start('websocket')
  const runner = harness.shell().runner as ExecutorRunner
  const session = `test-${randomUUID()}`
  const folders = { build: path.join(harness.root, 'build'), temp: path.join(harness.root, 'temp') }
  for (const folder of Object.values(folders)) fs.mkdirSync(folder)
  await runner.prepare(prepareInput(session, folders), noOutput)
  const input = (script: string) => ({ session, stage: 'step_script', script, env: { A: 'b' }, cwd: folders.build })
  let text = ''
  return {
    harness,
    runner,
    session,
    input,
    folder: harness.root,
    temp: folders.temp,
    file: (name: string) => path.join(harness.root, name),
    async run(script: string) {
      text = ''
      const result = await runner.run(input(script), async (chunk) => {
        text += Buffer.from(chunk).toString()
        harness.box.changed()
      })
      return { text, result }
    },
    says: (what: string) => harness.box.until(() => text.includes(what), `the script to say ${what}`),
    async [Symbol.asyncDispose]() {
      await runner.cleanUp({ session })
      await harness[Symbol.asyncDispose]()
    },
  }
}
