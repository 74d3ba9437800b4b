import { afterAll, beforeAll, expect, it } from 'vitest'
import { onBothEngines } from '../support/stores.js'
import { type ShimBox, startShimBox } from './support/box.js'

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
    const project = await box.core.project('build:\n  script: make\n', 'acme/lint')
    box.core.repositories.files.get(project.id)!.set('part.yml', 'part:\n  script: echo part\n')
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const lint = (json: Record<string, unknown>) => box.admin('POST', '/projects/acme%2Flint/ci/lint', { json })

  it('finds a good text good, and gives it merged', async () => {
    const answer = await lint({
      content: 'include: part.yml\n.a:\n  tags: [x]\ntest:\n  extends: .a\n  script: make test\n',
    })
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({
      valid: true,
      errors: [],
      warnings: [],
      merged_yaml: expect.stringContaining('make test'),
      includes: [],
    })
    expect(answer.body.merged_yaml).toContain('echo part')
  })

  it('says what is wrong and where: 200 with valid false', async () => {
    for (const [content, says] of [
      ['', 'empty'],
      ['test:\n  scrip: x\n', 'scrip'],
      ['test: [', ''],
      ['a: &a [*a]\n', ''],
      ['test:\n  script: x\n  needs: [nobody]\n', 'nobody'],
      ['include: missing.yml\n', 'missing.yml'],
      ['__proto__:\n  script: x\n', ''],
    ]) {
      const answer = await lint({ content })
      expect([content, answer.status, answer.body.valid]).toEqual([content, 200, false])
      expect(answer.body.errors.join('\n')).toContain(says)
      expect(answer.body.merged_yaml).toBeNull()
    }
  })

  it('lists the jobs when it is asked to, and decides rules in a dry run', async () => {
    const content = 'a:\n  script: [x, y]\n  tags: [t]\nb:\n  script: z\n  needs: [a]\n  when: manual\n'
    const { body } = await lint({ content, include_jobs: true })
    expect(body.jobs).toMatchObject([
      {
        name: 'a',
        stage: 'test',
        script: ['x', 'y'],
        tag_list: ['t'],
        when: 'on_success',
        allow_failure: false,
        needs: null,
      },
      { name: 'b', script: ['z'], when: 'manual', needs: [{ name: 'a', artifacts: true, optional: false }] },
    ])
    const never = 'a:\n  script: x\n  rules: [{ if: $NOPE }]\n'
    expect((await lint({ content: never })).body.valid).toBe(true)
    expect((await lint({ content: never, dry_run: 'true' })).body).toMatchObject({
      valid: false,
      errors: [expect.any(String)],
    })
    expect((await lint({ content, dry_run: true, ref: 'missing' })).body).toMatchObject({
      valid: false,
      errors: ['Reference not found'],
    })
  })

  it('looks at the project’s own file', async () => {
    const answer = await box.admin('GET', '/projects/acme%2Flint/ci/lint?include_jobs=true')
    expect(answer.body).toMatchObject({ valid: true, jobs: [{ name: 'build' }] })
    expect((await box.admin('GET', '/projects/acme%2Flint/ci/lint?content_ref=missing')).body).toMatchObject({
      valid: false,
    })
    const empty = await box.core.project('', 'acme/no-file')
    box.core.repositories.files.get(empty.id)!.clear()
    expect((await box.admin('GET', `/projects/${empty.id}/ci/lint`)).body).toMatchObject({
      valid: false,
      errors: ['.gitlab-ci.yml is missing'],
    })
  })

  it('makes no pipeline and no row', async () => {
    const before = await box.rows()
    await lint({ content: 'a:\n  script: x\n', dry_run: true })
    expect(await box.rows()).toBe(before)
  })
})
