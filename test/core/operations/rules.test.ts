/** Pipelines whose rules ask about files: what is looked up for them, and for whom. */
import { expect, it } from 'vitest'
import { createProject } from '../../../src/core/operations/create-project.js'
import { insertUser } from '../../../src/core/store/users.js'
import { startTestCore, type TestCore } from '../../support/core.js'
import { onBothEngines } from '../../support/stores.js'

const sha = (digit: string) => digit.repeat(40)

async function jobsOf(box: TestCore, ...args: Parameters<TestCore['pipeline']>): Promise<string[]> {
  return Object.keys(await box.statuses(await box.pipeline(...args)))
}

onBothEngines((engine) => {
  it('lets rules see the files of the commit', async () => {
    await using box = await startTestCore(engine)
    const project = await box.project({
      docker: { script: 'x', rules: [{ exists: ['Dockerfile'] }] },
      node: { script: 'x', rules: [{ exists: ['package.json'] }] },
    })
    box.repositories.files.get(project.id)!.set('Dockerfile', '')
    expect(await jobsOf(box, project)).toEqual(['docker'])
    expect(await jobsOf(box, project)).toEqual(['docker'])
  })

  it('lets rules see what a push changed, and takes what is unknown for changed', async () => {
    await using box = await startTestCore(engine)
    const project = await box.project({
      docs: { script: 'x', rules: [{ changes: ['docs/*'] }] },
      code: { script: 'x', rules: [{ changes: ['src/*'] }] },
      old: { script: 'x', only: { changes: ['docs/*'] } },
    })
    box.repositories.changedPaths = async () => ['docs/a.md']
    const push = { source: 'push', beforeSha: sha('b') } as const
    expect(await jobsOf(box, project, push)).toEqual(['docs', 'old'])
    expect(await jobsOf(box, project)).toEqual(['docs', 'code', 'old'])
    expect(await jobsOf(box, project, { ...push, beforeSha: sha('0') })).toEqual(['docs', 'code', 'old'])
  })

  it('compares with a ref, and says when there is none', async () => {
    await using box = await startTestCore(engine)
    const rules = [{ changes: { paths: ['src/*'], compare_to: '$BASE' } }]
    const project = await box.project({ j: { script: 'x', rules }, always: { script: 'x' } })
    box.repositories.changedSince = async () => ['src/a']
    const base = (value: string) => ({ variables: [{ key: 'BASE', value }] })
    expect(await jobsOf(box, project, base('main'))).toEqual(['j', 'always'])
    await expect(box.pipeline(project, base('missing'))).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('Failed to parse rule for j: rules:changes:compare_to is not a valid ref'),
    })
  })

  it('looks into other projects with the eyes of whoever starts the pipeline', async () => {
    await using box = await startTestCore(engine)
    const other = await box.project('', 'acme/other')
    box.repositories.files.get(other.id)!.set('made', '').set('part.yml', 'part: {script: x}')
    const user = await box.core.store.write((tx) =>
      insertUser(tx, { username: 'eve', name: 'Eve', email: 'eve@example.com', isAdmin: 0 }),
    )
    const project = await createProject(box.core, { path: 'mine', user })
    const exists = { paths: ['made'], project: 'acme/other' }
    box.configure(project, { j: { script: 'x', rules: [{ exists }] } })
    expect(await jobsOf(box, project)).toEqual(['j'])
    const refused = { code: 'invalid', message: expect.stringContaining('access denied') }
    await expect(box.pipeline(project, { user })).rejects.toMatchObject(refused)

    box.configure(project, { include: { project: 'acme/other', file: 'part.yml' } })
    expect(await jobsOf(box, project)).toEqual(['part'])
    await expect(box.pipeline(project, { user })).rejects.toMatchObject(refused)

    box.configure(project, { j: { script: 'x', rules: [{ exists: { ...exists, ref: 'missing' } }] } })
    await expect(box.pipeline(project)).rejects.toMatchObject({
      message: expect.stringContaining('rules:exists:ref missing is not a valid ref of project acme/other'),
    })
  })
})
