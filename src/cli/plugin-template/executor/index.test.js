import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { executorFacts, prepareInput, startPlugin } from 'signalbox/plugin/testing'
import plugin from './index.js'

const session = 'job-1'

/** A prepared job, and a way to run scripts in it. */
async function prepared(t) {
  const root = await mkdtemp(path.join(os.tmpdir(), 'NAME-'))
  const folders = { build: path.join(root, 'build'), temp: path.join(root, 'temp') }
  for (const folder of Object.values(folders)) await mkdir(folder)
  const started = await startPlugin(plugin)
  const { runner } = started.executor()
  await runner.prepare(prepareInput(session, folders), async () => {})
  t.after(async () => {
    await runner.cleanUp({ session })
    await started.close()
    await rm(root, { recursive: true })
  })
  const run = async (script, onOutput = () => {}) => {
    let output = ''
    const input = { session, stage: 'step_script', script, env: { WHO: 'you' }, cwd: folders.build }
    const result = await runner.run(input, async (chunk) => {
      output += Buffer.from(chunk).toString()
      onOutput(output)
    })
    return { ...result, output }
  }
  return { runner, run }
}

test('names the features of its jobs', async (t) => {
  const started = await startPlugin(plugin)
  t.after(() => started.close())
  assert.ok((await started.executor().capabilities(executorFacts('NAME'))).includes('variables'))
})

test('runs a script with its variables, and tells how it ended', async (t) => {
  const { run } = await prepared(t)
  assert.deepEqual(await run('echo "hello $WHO"; exit 3'), { exitCode: 3, signal: null, output: 'hello you\n' })
})

test('ends a script that will not end', async (t) => {
  const { runner, run } = await prepared(t)
  let ended
  await new Promise((begun) => {
    ended = run("trap '' TERM; echo begun; while :; do sleep 1; done", begun)
  })
  await runner.cancel({ session, graceMs: 0 })
  assert.equal((await ended).signal, 'SIGKILL')
})
