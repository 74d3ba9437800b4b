import { expect, it } from 'vitest'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { eraseJob } from '../../../src/core/operations/erase-job.js'
import { finishJob } from '../../../src/core/operations/finish-job.js'
import { playJob } from '../../../src/core/operations/play-job.js'
import { insertArtifact } from '../../../src/core/store/artifacts.js'
import { startTestCore, type TestCore } from '../../support/core.js'
import { onBothEngines } from '../../support/stores.js'

const hour = 3_600_000

/** A pipeline whose first job has kept an archive for an hour; the others wait for people. Gives their ids by name. */
async function built(box: TestCore): Promise<Record<string, number>> {
  const runner = await box.runner()
  const manual = { script: 'x', stage: 'deploy', when: 'manual' }
  const { pipeline } = await box.run({
    build: { script: 'x', stage: 'build', artifacts: { paths: ['a'] } },
    all: manual,
    needs: { ...manual, needs: ['build'] },
    order: { ...manual, needs: [{ job: 'build', artifacts: false }] },
    none: { ...manual, dependencies: [] },
  })
  const offer = (await runner.request()).offer!
  await acceptLease(box.core, { ...offer, managerId: runner.manager.id })
  await box.core.store.write((tx) =>
    insertArtifact(tx, {
      jobId: offer.jobId,
      projectId: pipeline.projectId,
      type: 'archive',
      format: 'zip',
      filename: 'artifacts.zip',
      sizeBytes: 1,
      sha256: '',
      location: 'no/such',
      expiresAt: tx.now + hour,
    }),
  )
  await finishJob(box.core, {
    ...offer,
    report: { state: 'success', exitCode: null, failureReason: null, message: null, logLength: null, logCrc32: null },
  })
  const rows = await box.core.store.read.db.selectFrom('jobs').select(['id', 'name']).execute()
  return Object.fromEntries(rows.map((row) => [row.name, row.id]))
}

onBothEngines((engine) => {
  it.each(['kept', 'expired', 'deleted', 'erased'])('starts what comes after an archive that is %s', async (fate) => {
    await using box = await startTestCore(engine)
    const ids = await built(box)
    if (fate !== 'kept' && fate !== 'erased') box.clock.raise(box.clock.now() + hour)
    if (fate === 'deleted') expect(await box.tasks.run('delete_expired_artifacts')).toBe('1 artifacts')
    if (fate === 'erased') await eraseJob(box.core, ids.build!)
    for (const name of ['all', 'needs']) {
      const job = await playJob(box.core, { jobId: ids[name]!, userId: 1 })
      const gone = { status: 'failed', failureReason: 'missing_dependency_failure', failureClass: 'dependency' }
      expect(job, name).toMatchObject(fate === 'kept' ? { status: 'pending' } : gone)
    }
    for (const name of ['order', 'none']) {
      expect(await playJob(box.core, { jobId: ids[name]!, userId: 1 }), name).toMatchObject({ status: 'pending' })
    }
  })
})
