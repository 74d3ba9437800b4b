/** A payload that is built for its hand-out at once says the same as one that was kept with marks and spliced. */
import { expect, test } from 'vitest'
import type { JobPlan } from '../../src/core/ci-config/job-definition.js'
import { voidOffer } from '../../src/core/operations/void-offer.js'
import { type HandOut, spliceHandOut } from '../../src/core/payload/hand-out.js'
import { buildHandOut, buildPayload, hasSecrets, type PayloadFacts } from '../../src/core/payload/payload.js'
import { textOf, variableFor } from '../../src/core/payload/variable-text.js'
import { startTestCore } from '../support/core.js'
import { onBothEngines } from '../support/stores.js'

const plan = {
  name: 'job "one"',
  stage: 'test',
  script: ['echo "$CI_JOB_TOKEN"', 'say @x:token@'],
  afterScript: ['done'],
  variables: [
    { key: 'PLAIN', value: 'a"b\\n\u2028' },
    { key: 'REFERS', value: '$SET and $CI_JOB_ID' },
    { key: 'GIT_DEPTH', value: '7', raw: true },
  ],
  image: { name: 'alpine' },
  services: [{ name: 'redis', alias: 'db', variables: [{ key: 'A', value: 'b' }] }],
  artifacts: [{ paths: ['x'], when: 'always', type: 'archive', format: 'zip' }],
  caches: [{ key: 'k', paths: ['c'], policy: 'pull-push', when: 'on_success' }],
} as unknown as JobPlan

const facts = {
  project: { id: 1, name: 'p', fullPath: 'g/p', groupId: 2, cacheIndex: 3 },
  rootGroupId: 2,
  externalUrl: 'http://box.test',
  job: { id: 5, name: 'job "one"', runWhen: 'on_success', userId: null },
  plan,
  pipeline: {
    id: 6,
    iid: 7,
    name: null,
    createdAt: 8,
    ref: 'main',
    tag: 0,
    protected: 1,
    sha: 'a'.repeat(40),
    beforeSha: '0'.repeat(40),
  },
  pipelineVariables: [{ key: 'CI', value: 'true', raw: true }],
  setVariables: [{ key: 'SET', value: 'by people', file: true }],
  strongVariables: [{ key: 'STRONG', value: 'yes' }],
  dotenvVariables: [{ key: 'GIVEN', value: 'by a job' }],
  dependencies: [{ id: 4, name: 'before', filename: 'a.zip', sizeBytes: 9 }],
  gitDepth: 20,
} as unknown as PayloadFacts

const handOut: HandOut = {
  token: 'glcbt-x',
  timeoutS: 3600,
  runner: { id: 9, description: 'a "runner"', tags: ['one', 'two'] },
  waitedS: null,
  running: '5+',
  queue: { size: 3, depth: 2 },
  pipelineVariables: facts.pipelineVariables,
}

test.each([
  ['as it is', {}],
  ['that has waited', { waitedS: 12 }],
])('a hand-out %s is byte for byte the one spliced into a kept payload', (_, change) => {
  const now = buildHandOut(facts, { ...handOut, ...change })
  expect(now.toString()).toBe(spliceHandOut(buildPayload(facts), { ...handOut, ...change }).toString())
  expect(JSON.parse(now.toString())).toMatchObject({
    token: 'glcbt-x',
    job_info: { queue_size: 3 },
    git_info: { depth: 7 },
  })
})

test.each([
  { key: 'A"', value: 'x\n"\u2028' },
  { key: 'B', value: '', masked: true, file: true, raw: true },
])('the text of %o is that of its object', (one) => {
  for (const isPublic of [true, false]) expect(textOf(one, isPublic)).toBe(JSON.stringify(variableFor(one, isPublic)))
})

test('a job has secrets when a variable from anywhere is masked, or it has ID tokens', () => {
  const masked = [{ key: 'S', value: 's', masked: true }]
  expect(hasSecrets(facts)).toBe(false)
  for (const list of ['setVariables', 'strongVariables', 'dotenvVariables'] as const) {
    expect(hasSecrets({ ...facts, [list]: masked })).toBe(true)
  }
  expect(hasSecrets({ ...facts, plan: { ...plan, idTokens: { T: { aud: 'a' } } } })).toBe(true)
})

onBothEngines((engine) => {
  const kept = (box: Awaited<ReturnType<typeof startTestCore>>) =>
    box.core.store.read.db.selectFrom('payloads').select('job_id').execute()

  test('an offer on a stream that is refused is offered again with the same payload, which waits with the job', async () => {
    await using box = await startTestCore(engine)
    const { waits, refuse } = await refusable(box)
    const { pipeline } = await box.run({ build: { script: 'true', variables: { A: '$CI_JOB_NAME' } } })
    const [offer] = waits.offers
    expect(await kept(box)).toEqual([])
    waits.credits = 0
    expect(await refuse(offer!)).toBe(true)
    expect(await box.statuses(pipeline)).toEqual({ build: 'pending' })
    expect(await kept(box)).toEqual([{ job_id: offer!.jobId }])
    const other = await box.runner({ systemId: 's_000000000002' })
    const again = (await other.request()).offer!
    const told = (payload: Uint8Array) => {
      const { token, job_info, variables, ...rest } = JSON.parse(Buffer.from(payload).toString())
      return { rest: JSON.stringify(rest).replaceAll(token, ''), job: job_info.id, variables: variables.length }
    }
    expect(told(again.payload)).toEqual(told(offer!.payload))
  })

  test('an offer whose job cannot have its payload any more ends the job', async () => {
    await using box = await startTestCore(engine)
    const { waits, refuse } = await refusable(box)
    const { pipeline } = await box.run({ build: { script: 'true' }, next: { stage: 'deploy', script: 'true' } })
    box.core.memory.pipelineVariables.delete(pipeline.id)
    const damaged = Buffer.alloc(64, 1)
    await box.core.store.write((tx) => tx.db.updateTable('pipelines').set({ variables: damaged }).execute())
    await refuse(waits.offers[0]!)
    expect(await box.statuses(pipeline)).toEqual({ build: 'failed', next: 'skipped' })
    expect(await kept(box)).toEqual([])
  })

  test('a payload with a masked value is kept until the job has ended', async () => {
    await using box = await startTestCore(engine)
    const { waits } = await refusable(box)
    const project = await box.project({ build: { script: 'true' } })
    const variables = [{ key: 'SECRET', value: 'abcdefgh', masked: true }]
    await box.pipeline(project, { variables })
    expect(await kept(box)).toEqual([{ job_id: waits.offers[0]!.jobId }])
  })
})

async function refusable(box: Awaited<ReturnType<typeof startTestCore>>) {
  const runner = await box.runner()
  const waits = runner.wait(1)
  return {
    waits,
    refuse: ({ jobId, fence }: { jobId: number; fence: number }) => voidOffer(box.core, { jobId, fence }, 'refused'),
  }
}
