/**
 * A transaction that fails leaves nothing in the memory of the process. On SQLite the next pipeline gets the id of the one
 * that was never made, whatever its project: what was known by that id must be forgotten with it.
 */
import { sql } from 'kysely'
import { expect, it } from 'vitest'
import type { Project } from '../../../src/core/project.js'
import type { SqliteStore } from '../../../src/core/store/sqlite-store.js'
import { startTestCore, type TestCore, type TestRunner } from '../../support/core.js'
import { onBothEngines } from '../../support/stores.js'

const config = { job: { script: 'true' } }
const secret = { key: 'SECRET_OF_A', value: 'only for a', masked: true }

interface Scene {
  box: TestCore
  a: Project
  b: Project
  runner: TestRunner
}

async function scene(box: TestCore): Promise<Scene> {
  return { box, a: await box.project(config, 'g/a'), b: await box.project(config, 'g/b'), runner: await box.runner() }
}

/** Makes a pipeline of project b and looks at what its job's runner is handed. */
async function expectOwnPayload({ box, b, runner }: Scene): Promise<void> {
  const pipeline = await box.pipeline(b, { variables: [{ key: 'GIVEN', value: 'to b' }] })
  const { offer } = await runner.request()
  const payload: { job_info: object; variables: { key: string; value: string }[] } = JSON.parse(
    offer!.payload.toString('utf8'),
  )
  const value = (key: string) => payload.variables.find((one) => one.key === key)?.value
  expect(payload.job_info).toMatchObject({ project_id: b.id, pipeline_id: pipeline.id })
  expect({ path: value('CI_PROJECT_PATH'), given: value('GIVEN'), secret: value(secret.key) }).toEqual({
    path: 'g/b',
    given: 'to b',
    secret: undefined,
  })
}

onBothEngines((engine) => {
  it('forgets the variables of a pipeline whose transaction fails at its very end', async () => {
    await using box = await startTestCore(engine)
    const here = await scene(box)
    const { db } = box.core.store.read
    const refuse = engine === 'sqlite' ? await refuseEvents(box) : await refuseCommits(box)
    await expect(box.pipeline(here.a, { variables: [secret] })).rejects.toThrow()
    await refuse.end()
    expect(await db.selectFrom('pipelines').selectAll().execute()).toEqual([])
    await expectOwnPayload(here)
  })
})

it('forgets them wherever the disk fills up', async () => {
  await using box = await startTestCore('sqlite', { jobsAtOnce: 1000 })
  const here = await scene(box)
  // Enough to go wrong long after its first rows are written.
  box.configure(here.a, { job: { script: 'true', parallel: 100 } })
  const { raw } = (box.core.store as SqliteStore).connection
  for (let pages = 0, made = false; !made; pages += 5) {
    raw.pragma(`max_page_count = ${(raw.pragma('page_count', { simple: true }) as number) + pages}`)
    const outcome = await box.pipeline(here.a, { variables: [secret] }).catch((error: unknown) => error)
    raw.pragma('max_page_count = 4294967294')
    if (outcome instanceof Error) {
      expect(outcome).toMatchObject({ code: 'unavailable', message: 'the disk is full' })
      await expectOwnPayload(here)
    } else made = true
  }
})

/** The last thing that a body writes is refused. */
async function refuseEvents(box: TestCore): Promise<{ end(): Promise<void> }> {
  const { raw } = (box.core.store as SqliteStore).connection
  raw.exec("create trigger refused before insert on events begin select raise(abort, 'refused'); end")
  return { end: async () => void raw.exec('drop trigger refused') }
}

/** Every statement is taken, and the COMMIT is refused. */
async function refuseCommits(box: TestCore): Promise<{ end(): Promise<void> }> {
  const run = (text: string) => box.core.store.write((tx) => sql.raw(text).execute(tx.db))
  await run("create function refuse() returns trigger language plpgsql as $$ begin raise 'refused'; end $$")
  await run(
    'create constraint trigger refused after insert on pipelines deferrable initially deferred for each row execute function refuse()',
  )
  return { end: async () => void (await run('drop trigger refused on pipelines')) }
}
