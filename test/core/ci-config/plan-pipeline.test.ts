import { describe, expect, test } from 'vitest'
import { expandVariables } from '../../../src/core/ci-config/expand.js'
import { factsWanted } from '../../../src/core/ci-config/facts-wanted.js'
import type { JobPlan } from '../../../src/core/ci-config/job-definition.js'
import { planPipeline } from '../../../src/core/ci-config/plan-pipeline.js'
import type { PipelinePlan, PlanContext } from '../../../src/core/ci-config/planning.js'
import {
  compileOrThrow,
  type EventFacts,
  firstPush,
  mergeRequest,
  plan,
  push,
  pushTag,
  schedule,
  web,
} from './events.js'

/** What becomes of a job: its `when`, with `allowed` where it may fail, or nothing. */
async function decide(body: string, context: PlanContext, rest = ''): Promise<string> {
  // Another job keeps a pipeline from being filtered out.
  const result = await plan(
    `job:\n  script: x\n${indent(body)}\nkeep: {script: x, rules: [{when: always}]}\n${rest}`,
    context,
  )
  if (!result.ok) return result.filtered ? 'no pipeline' : (result.errors[0]?.message ?? '')
  const job = result.plan.jobs.find(({ name }) => name === 'job')
  if (job === undefined) return '–'
  const delay = job.startInSeconds === undefined ? '' : ` ${job.startInSeconds}`
  return `${job.when}${delay}${job.allowFailure ? ' allowed' : ''}`
}

function indent(body: string): string {
  return body
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n')
}

async function planned(source: string, context: PlanContext): Promise<PipelinePlan> {
  const result = await plan(source, context)
  if (!result.ok) throw new Error(JSON.stringify(result))
  return result.plan
}

function jobOf(one: PipelinePlan, name: string): JobPlan {
  const job = one.jobs.find((candidate) => candidate.name === name)
  if (job === undefined) throw new Error(`no job ${name}`)
  return job
}

const isDefault = 'rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]'
const with1 = { variables: { A: '1' } }

/** The vectors of the reference; the last column is `when`, `allowed` where the job may fail, `–` where it is left out. */
const rows: [title: string, body: string, context: PlanContext, expected: string][] = [
  ['no rules, branch', '', push('x'), 'on_success'],
  ['no rules, tag', '', pushTag('v1'), 'on_success'],
  ['no rules, schedule', '', schedule('main'), 'on_success'],
  ['no rules, web', '', web('x'), 'on_success'],
  ['no rules, merge request', '', mergeRequest('x'), '–'],
  ['default branch only', isDefault, push('main'), 'on_success'],
  ['default branch only, other', isDefault, push('x'), '–'],
  ['default branch only, tag', isDefault, pushTag('v1'), '–'],
  ['default branch only, merge request', isDefault, mergeRequest('main'), '–'],
  ['tags only', 'rules: [{if: $CI_COMMIT_TAG}]', pushTag('v1'), 'on_success'],
  ['tags only, branch', 'rules: [{if: $CI_COMMIT_TAG}]', push('main'), '–'],
  ['no tags', 'rules: [{if: $CI_COMMIT_TAG == null}]', pushTag('v1'), '–'],
  ['no tags, merge request', 'rules: [{if: $CI_COMMIT_TAG == null}]', mergeRequest('x'), 'on_success'],
  [
    'never on schedules',
    'rules: [{if: $CI_PIPELINE_SOURCE == "schedule", when: never}, {when: always}]',
    schedule('x'),
    '–',
  ],
  [
    'never on schedules, push',
    'rules: [{if: $CI_PIPELINE_SOURCE == "schedule", when: never}, {when: always}]',
    push('x'),
    'always',
  ],
  ['a manual rule blocks', 'rules: [{when: manual}]', push('x'), 'manual'],
  ['a manual job does not', 'when: manual', push('x'), 'manual allowed'],
  [
    'a manual job by a rule without when',
    'when: manual\nrules: [{if: $CI_COMMIT_BRANCH}]',
    push('x'),
    'manual allowed',
  ],
  ['allow_failure and a manual rule', 'allow_failure: true\nrules: [{when: manual}]', push('x'), 'manual allowed'],
  ['allow_failure in a manual rule', 'rules: [{when: manual, allow_failure: true}]', push('x'), 'manual allowed'],
  ['when of the job by a rule', 'when: on_failure\nrules: [{if: $A}]', push('x', with1), 'on_failure'],
  [
    'the second rule',
    'rules: [{if: $A}, {if: $B, when: always}]',
    push('x', { variables: { A: '', B: 'x' } }),
    'always',
  ],
  ['zero is true', 'rules: [{if: $A}]', push('x', { variables: { A: '0' } }), 'on_success'],
  ['false as a text is true', 'rules: [{if: $A}]', push('x', { variables: { A: 'false' } }), 'on_success'],
  ['changes at the top', 'rules: [{changes: [Dockerfile]}]', push('x', { changed: ['Dockerfile'] }), 'on_success'],
  ['changes below', 'rules: [{changes: [Dockerfile]}]', push('x', { changed: ['a/Dockerfile'] }), '–'],
  ['changes at any depth', 'rules: [{changes: ["**/*.md"]}]', push('x', { changed: ['d/e/a.md'] }), 'on_success'],
  ['changes at any depth, top', 'rules: [{changes: ["**/*.md"]}]', push('x', { changed: ['a.md'] }), 'on_success'],
  ['changes at any depth, other', 'rules: [{changes: ["**/*.md"]}]', push('x', { changed: ['a.txt'] }), '–'],
  ['changes of a directory', 'rules: [{changes: ["docs/*"]}]', push('x', { changed: ['docs/a/b.md'] }), '–'],
  ['changes with alternatives', 'rules: [{changes: ["*.{js,ts}"]}]', push('x', { changed: ['x.ts'] }), 'on_success'],
  [
    'changes by regular expression',
    'rules: [{changes: {regexp: "[.]ts$"}}]',
    push('x', { changed: ['a/x.ts'] }),
    'on_success',
  ],
  ['changes on a first push', 'rules: [{changes: [x]}]', firstPush('x'), 'on_success'],
  ['changes on a tag', 'rules: [{changes: [x]}]', pushTag('x'), 'on_success'],
  ['changes on a schedule', 'rules: [{changes: [x]}]', schedule('x'), 'on_success'],
  ['changes on web', 'rules: [{changes: [x]}]', web('x'), 'on_success'],
  ['nothing changed', 'rules: [{changes: [x]}]', push('x', { changed: [] }), '–'],
  [
    'compare_to',
    'rules: [{changes: {paths: [x], compare_to: main}}]',
    schedule('feat', { comparePaths: { main: ['x'] } }),
    'on_success',
  ],
  [
    'compare_to nothing',
    'rules: [{changes: {paths: [x], compare_to: nope}}]',
    push('x', { comparePaths: {} }),
    'Failed to parse rule for job: rules:changes:compare_to is not a valid ref',
  ],
  [
    'if and changes, push',
    'rules: [{if: $CI_PIPELINE_SOURCE == "merge_request_event", changes: [x]}]',
    push('x', { changed: ['x'] }),
    '–',
  ],
  [
    'if and changes, merge request',
    'rules: [{if: $CI_PIPELINE_SOURCE == "merge_request_event", changes: [x]}]',
    mergeRequest('x', { changed: ['x'] }),
    'on_success',
  ],
  ['exists at the top', 'rules: [{exists: [Dockerfile]}]', push('x', { files: ['src/Dockerfile'] }), '–'],
  [
    'exists at any depth',
    'rules: [{exists: ["**/Dockerfile"]}]',
    push('x', { files: ['src/Dockerfile'] }),
    'on_success',
  ],
  ['exists as directory', 'rules: [{exists: [docs/]}]', push('x', { files: ['docs/a/b'] }), 'on_success'],
  [
    'exists with a variable',
    'variables: {D: dir}\nrules: [{exists: [$D/x]}]',
    push('x', { files: ['dir/x'] }),
    'on_success',
  ],
  ['exists with an unknown variable', 'rules: [{exists: [$UNSET/x]}]', push('x', { files: ['x', '/x'] }), '–'],
  ['a delayed rule', 'rules: [{when: delayed, start_in: 1 hour}]', push('x'), 'delayed 3600'],
  ['only a branch', 'only: [main]', push('main'), 'on_success'],
  ['only a branch, longer name', 'only: [main]', push('main-2'), '–'],
  ['only a branch, tag of that name', 'only: [main]', pushTag('main'), 'on_success'],
  ['only by regular expression, except branches', 'only: ["/^issue-.*$/"]\nexcept: [branches]', push('issue-1'), '–'],
  ['only by regular expression, tag', 'only: ["/^issue-.*$/"]\nexcept: [branches]', pushTag('issue-1'), 'on_success'],
  ['only variables', 'only: {variables: [$X == "1"]}', push('x', { variables: { X: '1' } }), 'on_success'],
  [
    'only variables, merge request',
    'only: {variables: [$X == "1"]}',
    mergeRequest('x', { variables: { X: '1' } }),
    '–',
  ],
  ['only merge requests', 'only: [merge_requests]', mergeRequest('x'), 'on_success'],
  ['only merge requests, push', 'only: [merge_requests]', push('x'), '–'],
  ['only schedules except main', 'only: [schedules]\nexcept: [main]', schedule('main'), '–'],
  ['only schedules except main, other', 'only: [schedules]\nexcept: [main]', schedule('x'), 'on_success'],
  ['only schedules, push', 'only: [schedules]\nexcept: [main]', push('x'), '–'],
  ['only another project', 'only: [branches@grp/app]', push('x'), '–'],
  ['only this project', 'only: [branches@grp/fork]', push('x'), 'on_success'],
  ['only changes', 'only: {changes: [x]}', push('x', { changed: ['y'] }), '–'],
  ['only changes, schedule', 'only: {changes: [x]}', schedule('x'), 'on_success'],
  ['rules: null, branch', 'rules: null', push('x'), 'on_success'],
  ['rules: null, tag', 'rules: null', pushTag('x'), 'on_success'],
  ['rules: null, merge request', 'rules: null', mergeRequest('x'), 'on_success'],
  ['no expansion in a text', 'rules: [{if: $V == "$W"}]', push('x', { variables: { V: 'x', W: 'x' } }), '–'],
  ['no expansion of a value', 'variables: {A: $B, B: x}\nrules: [{if: $A == "x"}]', push('x'), '–'],
  [
    'a pattern in a variable',
    'rules: [{if: $A =~ $RE}]',
    push('x', { variables: { RE: '/^fe/i', A: 'Feat' } }),
    'on_success',
  ],
  [
    'the name of the job',
    'rules: [{if: $CI_JOB_NAME == "job" && $CI_JOB_STAGE == "test" && $CI_NODE_TOTAL == "1"}]',
    push('x'),
    'on_success',
  ],
  ['the job variables over global ones', 'variables: {V: j}\nrules: [{if: $V == "j"}]', push('x'), 'on_success'],
  [
    'project variables over the job',
    'variables: {V: j}\nrules: [{if: $V == "p"}]',
    push('x', { variables: { V: 'p' } }),
    'on_success',
  ],
  [
    'an environment in rules',
    'environment: review/$CI_COMMIT_REF_NAME\nrules: [{if: $CI_ENVIRONMENT_NAME == "review/x" && $CI_ENVIRONMENT_TIER == "development"}]',
    push('x'),
    'on_success',
  ],
]

describe('whether and when a job runs', () => {
  test.each(rows)('%s', async (_, body, context, expected) => {
    expect(await decide(body, context, 'variables: {V: g}\n')).toBe(expected)
  })

  test('workflow rules take the default of only away', async () => {
    const workflow = 'workflow: {rules: [{when: always}]}\n'
    expect(await decide('', mergeRequest('x'), workflow)).toBe('on_success')
  })

  test('rules of a reference are flattened, those of a base replaced', async () => {
    const source = `
.r: {rules: [{if: $A, when: always}, {if: $B, when: manual}]}
flat: {script: x, rules: [!reference [.r, rules], {when: on_failure}]}
own: {extends: .r, script: x, rules: [{if: $C}]}
`
    const jobs = (await planned(source, push('x', { variables: { B: '1', C: '1' } }))).jobs
    expect(jobs.map(({ name, when }) => [name, when])).toEqual([
      ['flat', 'manual'],
      ['own', 'on_success'],
    ])
  })

  test('what decided is told for every job', async () => {
    const source = `
one: {script: x, rules: [{if: $A}, {if: $CI_COMMIT_BRANCH == "x", when: manual}]}
two: {script: x, rules: [{if: $A}]}
three: {script: x, only: [tags]}
four: {script: x, except: [branches]}
five: {script: x}
six: {script: x, rules: [{exists: [a, b]}, {if: $B, changes: [c]}]}
`
    expect((await planned(source, push('x'))).decisions).toBeUndefined()
    expect((await planned(source, { ...push('x'), explain: true })).decisions).toEqual(
      [
        { job: 'one', included: true, by: 'rules[1]', detail: 'if: $CI_COMMIT_BRANCH == "x", when: manual' },
        { job: 'two', included: false, by: 'rules', detail: 'no rule matches: [0] if: $A' },
        { job: 'three', included: false, by: 'only', detail: 'only:refs does not hold: tags' },
        { job: 'four', included: false, by: 'except', detail: 'except:refs holds: branches' },
        { job: 'five', included: true, by: 'only', detail: 'when: on_success' },
        { job: 'six', included: false, by: 'rules', detail: 'no rule matches: [0] exists: a, b; [1] if: $B' },
      ].map((one) => ({ ...one, stage: 'test' })),
    )
  })
})

describe('variables of a job', () => {
  const values = async (source: string, facts: EventFacts = {}): Promise<Record<string, string>> => {
    const one = await planned(source, push('x', facts))
    return Object.fromEntries(jobOf(one, 'job').variables.map(({ key, value }) => [key, value]))
  }

  test.each([
    ['a rule over the job', 'job: {script: x, variables: {V: j}, rules: [{if: $X, variables: {V: r}}]}', 'r'],
    ['workflow over global', 'variables: {V: g}\nworkflow: {rules: [{variables: {V: w}}]}\njob: {script: x}', 'w'],
    [
      'the job over workflow',
      'variables: {V: g}\nworkflow: {rules: [{variables: {V: w}}]}\njob: {script: x, variables: {V: j}}',
      'j',
    ],
    ['the matrix over the job', 'job: {script: x, variables: {V: j}}\n', 'j'],
    ['global alone', 'variables: {V: g}\njob: {script: x}', 'g'],
  ])('%s', async (_, source, expected) => {
    expect((await values(`${source}\n`, { variables: { X: '1' } })).V).toBe(expected)
  })

  test('inherit filters global and workflow variables, never those of the job', async () => {
    const source = `
variables: {A: g, B: g}
workflow: {rules: [{variables: {C: w, D: w}}]}
job: {script: x, inherit: {variables: [A, D]}, variables: {B: j}, rules: [{variables: {C: r}}]}
`
    expect(await values(source)).toEqual({ A: 'g', D: 'w', B: 'j', C: 'r' })
  })

  test('the matrix is over the job, each instance its own', async () => {
    const one = await planned(
      'job: {script: x, variables: {A: j, B: j}, parallel: {matrix: [{A: [1, 2]}]}}\n',
      push('x'),
    )
    expect(one.jobs.map(({ name, variables, parallel }) => [name, variables, parallel])).toEqual([
      [
        'job: [1]',
        [
          { key: 'A', value: '1' },
          { key: 'B', value: 'j' },
        ],
        { index: 1, total: 2 },
      ],
      [
        'job: [2]',
        [
          { key: 'A', value: '2' },
          { key: 'B', value: 'j' },
        ],
        { index: 2, total: 2 },
      ],
    ])
  })

  test('a circle is an error that names the job', async () => {
    const result = await plan('job: {script: x, variables: {A: $B, B: $A}}\nother: {script: x}\n', push('x'))
    expect(result).toMatchObject({
      ok: false,
      filtered: false,
      errors: [
        {
          message: 'job: circular variable reference detected: [A, B]',
          path: 'jobs:job:variables',
          line: 1,
          column: 1,
        },
      ],
    })
  })

  test('a long chain is expanded as far as it may be, and harms nothing', async () => {
    const chain = Array.from({ length: 4000 }, (_, i) => `V${i}: "$V${i + 1}"`).join(', ')
    const result = await plan(`variables: {${chain}}\njob: {script: x, resource_group: $V0}\n`, push('x'))
    expect(result).toMatchObject({ ok: true })
  })

  test('a circle of global variables is told once, and one to itself is none', async () => {
    const result = await plan('variables: {A: $B, B: $A}\none: {script: x}\ntwo: {script: x}\n', push('x'))
    expect(result).toMatchObject({ ok: false, errors: [{ message: expect.stringContaining('[A, B]') }] })
    expect(result.ok || result.errors).toHaveLength(1)
    const fine = await planned(
      'variables: {PATH: "$PATH:/x"}\njob: {script: x, variables: {PATH: "$PATH:/y"}}\n',
      push('x'),
    )
    expect(expandVariables(jobOf(fine, 'job').variables).variables).toEqual([{ key: 'PATH', value: ':/y' }])
  })
})

describe('needs', () => {
  const source = `
stages: [build, test]
a: {stage: build, script: x, rules: [{if: $A}]}
b: {stage: build, script: x}
many: {stage: build, script: x, parallel: 3}
job: {stage: test, script: x, NEEDS}
`
  const needsOf = async (needs: string, facts: EventFacts = {}): Promise<unknown> => {
    const result = await plan(source.replace('NEEDS', needs), push('x', facts))
    if (!result.ok) return result.errors[0]?.message
    return jobOf(result.plan, 'job').needs?.map((need) => need.job)
  }

  test.each([
    ['needs: [b]', ['b']],
    ['needs: []', []],
    ['tags: []', undefined],
    ['needs: [many]', ['many 1/3', 'many 2/3', 'many 3/3']],
    ['needs: ["many 2/3"]', ['many 2/3']],
    ['needs: [{job: a, optional: true}, b]', ['b']],
    ['needs: [{job: a, optional: true}]', []],
    ['needs: [{job: nothing, optional: true}, b]', ['b']],
    ['needs: [b], rules: [{needs: [many]}]', ['many 1/3', 'many 2/3', 'many 3/3']],
    ['needs: [b], rules: [{needs: []}]', []],
    ['rules: [{if: $NO, needs: [a]}, {when: always}]', undefined],
  ])('%s', async (needs, expected) => {
    expect(await needsOf(needs)).toEqual(expected)
  })

  test('a needed job that rules leave out is an error with a hint', async () => {
    expect(await needsOf('needs: [a]')).toMatch(
      /'job' job needs 'a' job, but 'a' does not exist in the pipeline.*optional/,
    )
    expect(await needsOf('needs: [a]', { variables: { A: '1' } })).toEqual(['a'])
  })

  test('50 needs are taken, 51 are not, instances counted', async () => {
    const many = (count: number): string =>
      `many: {stage: build, script: x, parallel: ${count}}\njob: {stage: test, script: x, needs: [many]}\n`
    expect((await plan(many(50), push('x'))).ok).toBe(true)
    expect(await plan(many(51), push('x'))).toMatchObject({
      ok: false,
      errors: [{ message: expect.stringContaining('can only need 50 others') }],
    })
  })

  test('dependencies on jobs that are left out are dropped', async () => {
    const one = await planned(source.replace('NEEDS', 'dependencies: [a, b]'), push('x'))
    expect(jobOf(one, 'job').dependencies).toEqual(['b'])
  })
})

describe('the pipeline', () => {
  test('is told for every job, also where there is no pipeline', async () => {
    const by = async (workflow: string, jobs = 'one: {script: x}\ntwo: {script: x, parallel: 2}\n') => {
      const event = { ...push('x', { files: ['a'], changed: ['b'] }), explain: true }
      const result = await plan(`workflow: ${workflow}\n${jobs}`, event)
      return result.ok ? [] : (result.decisions ?? []).map((one) => [one.job, one.included, one.by, one.detail])
    }
    expect(await by('{rules: [{if: $CI_COMMIT_TAG}]}')).toEqual(
      ['one', 'two 1/2', 'two 2/2'].map((job) => [job, false, 'workflow', 'no workflow rule matches']),
    )
    expect(await by('{rules: [{if: $NO}, {exists: [a], when: never}]}', 'one: {script: x}\n')).toEqual([
      ['one', false, 'workflow:rules[1]', 'exists: a, when: never'],
    ])
    expect(await by('{}', 'one: {script: x, rules: [{changes: [b], when: never}]}\n')).toEqual([
      ['one', false, 'rules[0]', 'changes: b, when: never'],
    ])
    const needs = 'one: {script: x, rules: [{if: $NO}]}\ntwo: {script: x, needs: [one]}\n'
    expect(await by('{}', needs)).toMatchObject([
      ['one', false, 'rules', expect.any(String)],
      ['two', true, 'only', expect.any(String)],
    ])
  })

  test.each([
    [
      'workflow rules that do not hold',
      'workflow: {rules: [{if: $CI_COMMIT_TAG}]}\njob: {script: x}',
      'workflow rules',
    ],
    ['a workflow rule that says never', 'workflow: {rules: [{when: never}]}\njob: {script: x}', 'workflow rules'],
    ['no job left', 'job: {script: x, rules: [{if: $NO}]}', 'rules: job rules leave no job'],
    [
      'only jobs of .pre and .post left',
      'a: {stage: .pre, script: x}\nb: {stage: .post, script: x}',
      'only jobs in the .pre or .post stages; there must be at least one other job in a different stage',
    ],
  ])('is filtered out by %s', async (_, source, why) => {
    expect(await plan(`${source}\n`, push('x'))).toMatchObject({
      ok: false,
      filtered: true,
      errors: [{ message: expect.stringContaining(why) }],
    })
  })

  test('has a name with everything in it expanded, and what cancels it', async () => {
    const source = `
variables: {WHO: you and $OTHER, OTHER: me}
workflow:
  name: " $GREETING $WHO on $CI_COMMIT_BRANCH$NOTHING "
  auto_cancel: {on_new_commit: interruptible, on_job_failure: all}
  rules: [{variables: {GREETING: hello}, auto_cancel: {on_new_commit: none}}]
job: {script: x}
`
    expect(await planned(source, push('x'))).toMatchObject({
      name: 'hello you and me on x',
      autoCancel: { onNewCommit: 'none', onJobFailure: 'all' },
      stages: ['.pre', 'build', 'test', 'deploy', '.post'],
    })
    expect((await planned('workflow: {name: $NOTHING}\njob: {script: x}\n', push('x'))).name).toBeUndefined()
  })

  test('expands tags, environments and resource groups of its jobs', async () => {
    const source = `
variables: {OS: linux, GROUP: "$OS-group"}
job:
  script: x
  tags: [$OS, $UNKNOWN]
  environment: {name: review/$CI_COMMIT_REF_NAME$NOTHING, url: "https://$CI_ENVIRONMENT_SLUG"}
  resource_group: $GROUP/$CI_ENVIRONMENT_NAME/$CI_ENVIRONMENT_SLUG
`
    expect(jobOf(await planned(source, push('x')), 'job')).toMatchObject({
      tags: ['linux', '$UNKNOWN'],
      environment: { name: 'review/x', url: 'https://$CI_ENVIRONMENT_SLUG' },
      resourceGroup: 'linux-group/review/x/$CI_ENVIRONMENT_SLUG',
    })
  })

  test('lets environments and resource groups see the variables of the rule that matched, but not tags', async () => {
    const source = `
job:
  script: x
  variables: {TO: nowhere}
  tags: [$TO]
  environment: {name: $TO}
  resource_group: deploy-$TO-$CI_ENVIRONMENT_NAME
  rules: [{if: $CI_COMMIT_TAG}, {if: '$TO == "nowhere"', variables: {TO: production}}]
`
    expect(jobOf(await planned(source, push('x')), 'job')).toMatchObject({
      tags: ['nowhere'],
      environment: { name: 'production' },
      resourceGroup: 'deploy-production-production',
    })
  })

  test('has 2,000 jobs at most', async () => {
    const jobs = (count: number): string =>
      Array.from({ length: count }, (_, index) => `j${index}: {script: x, parallel: 200}\n`).join('')
    expect((await plan(jobs(10), push('x'))).ok).toBe(true)
    expect(await plan(jobs(11), push('x'))).toMatchObject({
      ok: false,
      errors: [{ message: expect.stringContaining('2000 at most') }],
    })
  })

  test('with onlyJobs has these and what they need, and says why it lacks one', async () => {
    const source = `
stages: [a, b, c]
one: {stage: a, script: x}
two: {stage: b, script: x, needs: [one], parallel: 2}
three: {stage: c, script: x, needs: [two]}
other: {stage: c, script: x}
absent: {stage: c, script: x, rules: [{if: $NO}]}
`
    const names = async (...onlyJobs: string[]): Promise<string[]> =>
      (await planned(source, push('x', { onlyJobs }))).jobs.map(({ name }) => name)
    expect(await names('three')).toEqual(['one', 'two 1/2', 'two 2/2', 'three'])
    expect(await names('two 2/2')).toEqual(['one', 'two 2/2'])
    // Without `needs:` it takes from all of earlier stages.
    expect(await names('other')).toEqual(['one', 'two 1/2', 'two 2/2', 'other'])
    expect(await plan(source, push('x', { onlyJobs: ['absent', 'nobody'] }))).toMatchObject({
      ok: false,
      errors: [
        { message: 'job "absent" is not in this pipeline: no rule matches: [0] if: $NO', line: 7 },
        { message: 'there is no job "nobody"' },
      ],
    })
  })

  test('is the same from a configuration that went through JSON, and leaves it as it was', async () => {
    const config = await compileOrThrow(
      'a: {script: x, parallel: {matrix: [{A: [1, 2]}]}, rules: [{if: $CI_COMMIT_BRANCH =~ /^x+$/}]}\n',
    )
    const before = JSON.stringify(config)
    const first = planPipeline(config, push('x'))
    expect(planPipeline(JSON.parse(before), push('x'))).toEqual(first)
    expect(planPipeline(config, push('x'))).toEqual(first)
    expect(JSON.stringify(config)).toBe(before)
  })

  test('never shows a masked value in an error', async () => {
    const config = await compileOrThrow('job: {script: x, rules: [{exists: {paths: [a], project: group/$SECRET}}]}\n')
    const context = push('x')
    context.variables.push({ key: 'SECRET', value: 'hunter2', masked: true })
    const result = planPipeline(config, context)
    expect(result).toMatchObject({ ok: false, errors: [{ message: expect.stringContaining('group/xxxxxxx') }] })
    expect(JSON.stringify(result)).not.toContain('hunter2')
  })
})

describe('the facts that planning will ask for', () => {
  test('are none for rules without files', async () => {
    const config = await compileOrThrow('job: {script: x, rules: [{if: $A}]}\n')
    expect(factsWanted(config, push('x'))).toEqual({ changedPaths: false, files: false, compareTo: [], projects: [] })
  })

  test('are told expanded, for every workflow rule that may set their variables', async () => {
    const config = await compileOrThrow(`
variables: {BASE: main}
workflow: {rules: [{if: $A, variables: {BASE: other}}, {changes: [x]}]}
one: {script: x, rules: [{changes: {paths: [x], compare_to: "refs/$BASE"}, exists: [y]}]}
two: {script: x, variables: {P: group/$CI_JOB_NAME}, rules: [{exists: {paths: [a], project: $P, ref: v1}}]}
`)
    expect(factsWanted(config, push('x'))).toEqual({
      changedPaths: true,
      files: true,
      compareTo: ['refs/main', 'refs/other'],
      projects: [{ project: 'group/two', ref: 'v1' }],
    })
  })
})
