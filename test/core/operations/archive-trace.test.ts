import { existsSync } from 'node:fs'
import { appendFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { appendTrace } from '../../../src/core/operations/append-trace.js'
import { deleteJobArtifacts, eraseJob } from '../../../src/core/operations/erase-job.js'
import { finishJob } from '../../../src/core/operations/finish-job.js'
import { findArtifact } from '../../../src/core/store/artifacts.js'
import { hasTracePieces } from '../../../src/core/store/trace-pieces.js'
import { startTestCore, type TestCore, type TestRunner } from '../../support/core.js'
import { eventually } from '../../support/eventually.js'
import { onBothEngines } from '../../support/stores.js'

const log = 'first line\nlast line\n'

async function runWith(box: TestCore, runner: TestRunner, text: string): Promise<number> {
  const offer = (await runner.request()).offer!
  await acceptLease(box.core, { ...offer, managerId: runner.manager.id })
  if (text !== '') await appendTrace(box.core, { ...offer, offset: 0, data: Buffer.from(text), overlap: 'skip' })
  await finishJob(box.core, {
    ...offer,
    report: { state: 'success', exitCode: null, failureReason: null, message: null, logLength: null, logCrc32: null },
  })
  return offer.jobId
}

const jobs = { a: { script: 'x' }, b: { script: 'x' }, c: { script: 'x' } }

onBothEngines((engine) => {
  it('makes artifacts of the logs of jobs that have ended, and reads them as before', async () => {
    await using box = await startTestCore(engine)
    const { core, clock } = box
    const runner = await box.runner()
    await box.run(jobs)
    const a = await runWith(box, runner, log)
    const silent = await runWith(box, runner, '')
    await eventually(() => expect(core.traces.sessions).toBe(0))
    // What lies beyond the committed length was never acknowledged.
    if (engine === 'sqlite') await appendFile(core.traces.fileOf(a), 'lost')
    clock.advance(2 * 60_000 - 1)
    expect(await box.tasks.run('archive_traces')).toBe('nothing to do')
    await box.tasks.setPaused('archive_traces', true)
    clock.advance(1)
    expect(await box.tasks.run('archive_traces')).toBe('1 logs')
    const artifact = await findArtifact(core.store.read, a, 'trace')
    expect(artifact).toMatchObject({ format: 'raw', filename: 'job.log', sizeBytes: log.length, expiresAt: null })
    expect(existsSync(core.traces.fileOf(a))).toBe(false)
    expect(await hasTracePieces(core.store.read, a)).toBe(false)
    expect((await core.traces.read(a, 6, log.length)).toString()).toBe(log.slice(6))
    expect(await findArtifact(core.store.read, silent, 'trace')).toBeUndefined()
    const late = await runWith(box, runner, log)
    clock.advance(3 * 60_000)
    expect(await box.tasks.run('archive_traces')).toBe('1 logs')
    expect(await box.tasks.run('archive_traces')).toBe('nothing to do')

    await deleteJobArtifacts(core, a)
    expect((await core.traces.read(a, 0, log.length)).toString()).toBe(log)
    await eraseJob(core, late)
    expect(await findArtifact(core.store.read, late, 'trace')).toBeUndefined()
    await expect(core.traces.read(late, 0, 1)).rejects.toThrow('ENOENT')
  })

  it('leaves a log alone whose file is shorter than its row says, and goes on with the next', async () => {
    await using box = await startTestCore(engine)
    const { core } = box
    const runner = await box.runner()
    await box.run(jobs)
    const a = await runWith(box, runner, log)
    const b = await runWith(box, runner, log)
    await core.store.write((tx) => tx.db.updateTable('traces').set({ length: 1000 }).where('job_id', '=', a).execute())
    box.clock.advance(3 * 60_000)
    expect(await box.tasks.run('archive_traces')).toBe('1 logs')
    expect((await core.traces.read(a, 0, 1000)).toString()).toBe(log)
    expect(await findArtifact(core.store.read, b, 'trace')).toBeDefined()
    expect(box.logged.map((one) => one.message)).toContain('a log could not be archived')
  })
})
