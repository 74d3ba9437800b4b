import { afterAll, beforeAll, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
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
      includes: [
        {
          type: 'local',
          location: 'part.yml',
          blob: null,
          raw: null,
          extra: {},
          context_project: 'acme/lint',
          context_sha: box.core.repositories.sha,
        },
      ],
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

  it('takes files up to the size that is taken anywhere, and says 413 beyond it', async () => {
    const file = (bytes: number) => `test:\n  script: make\n#${'ä\n#'.repeat(bytes / 4)}`.slice(0, bytes)
    for (const bytes of [300 * 1024, 1024 * 1024, 1500 * 1024]) {
      const answer = await lint({ content: file(bytes) })
      expect([bytes, answer.status, answer.body.valid]).toEqual([bytes, 200, true])
    }
    for (const bytes of [2 * 1024 * 1024 + 1, 5 * 1024 * 1024, 20 * 1024 * 1024]) {
      const answer = await lint({ content: 'x'.repeat(bytes) })
      expect([bytes, answer.status]).toEqual([bytes, 413])
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
    const rich =
      'default: {before_script: [prepare]}\n' +
      'a: {script: x, after_script: [y], environment: {name: live}, only: [main, /^v/], except: {variables: [$NO]}}\n' +
      'b: {script: x, rules: [{if: $NOPE}], parallel: 2, needs: [a]}\n'
    expect((await lint({ content: rich, include_jobs: true })).body.jobs).toEqual([
      {
        name: 'a',
        stage: 'test',
        before_script: ['prepare'],
        script: ['x'],
        after_script: ['y'],
        tag_list: [],
        only: { refs: ['main', '/^v/'] },
        except: { variables: ['$NO'] },
        environment: 'live',
        when: 'on_success',
        allow_failure: false,
        needs: null,
      },
      expect.objectContaining({ name: 'b 1/2', only: null, needs: [{ name: 'a', artifacts: true, optional: false }] }),
      expect.objectContaining({ name: 'b 2/2' }),
    ])
    const dry = (ref: string) => lint({ content: rich, include_jobs: true, dry_run: true, ref })
    expect((await dry('main')).body.jobs).toMatchObject([{ name: 'a', before_script: ['prepare'], only: null }])
    expect((await dry('other')).body).toMatchObject({ valid: false, jobs: [] })
    const asked = 'a:\n  script: x\n  rules: [{ exists: [part.yml] }]\nb:\n  script: x\n  rules: [{ exists: [none] }]\n'
    expect((await lint({ content: asked, dry_run: true, include_jobs: true })).body.jobs).toMatchObject([{ name: 'a' }])
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
    const dry = 'dry_run=true&content_ref=main&include_jobs=true'
    expect((await box.admin('GET', `/projects/acme%2Flint/ci/lint?${dry}&dry_run_ref=v1`)).body).toMatchObject({
      valid: true,
      jobs: [{ name: 'build' }],
    })
    expect((await box.admin('GET', `/projects/acme%2Flint/ci/lint?${dry}&dry_run_ref=missing`)).body).toMatchObject({
      valid: false,
      errors: ['Reference not found'],
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

  it('lints four times at once for one user, and says 429 to the fifth', async () => {
    const waiting: (() => void)[] = []
    const { configs } = box.core.core
    const compile = configs.compile.bind(configs)
    configs.compile = async (...args) => {
      await new Promise<void>((resolve) => waiting.push(resolve))
      return compile(...args)
    }
    try {
      const content = 'a: {script: x}'
      const four = Array.from({ length: 4 }, () => lint({ content }))
      await eventually(() => expect(waiting).toHaveLength(4))
      const fifth = await lint({ content })
      expect([fifth.status, fifth.headers.get('retry-after')]).toEqual([429, '1'])
      for (const go of waiting) go()
      expect((await Promise.all(four)).map(({ status }) => status)).toEqual([200, 200, 200, 200])
    } finally {
      configs.compile = compile
    }
    expect((await lint({ content: 'a: {script: x}' })).status).toBe(200)
  })
})
