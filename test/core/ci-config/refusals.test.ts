import { describe, expect, test } from 'vitest'
import { compileConfig } from '../../../src/core/ci-config/compile.js'
import type { ConfigError } from '../../../src/core/ci-config/config-error.js'
import { planPipeline } from '../../../src/core/ci-config/plan-pipeline.js'
import { compileOrThrow, push } from './events.js'

async function errorsOf(source: string): Promise<ConfigError[]> {
  const result = await compileConfig(source, { fetchInclude: async () => ({ ok: false, reason: 'does not exist' }) })
  return result.ok ? [] : result.errors
}

/** Job body, line and column inside it (the body begins at line 2), path below the job, what the message says. */
const jobs: [body: string, place: string, path: string, says: string | RegExp][] = [
  ['artefacts: {paths: [a]}', '2:3', '', 'unknown keys: artefacts (did you mean "artifacts"?)'],
  ['scripts: x\n  script: y', '2:3', '', '(did you mean "script"?)'],
  ['after-script: x', '2:3', '', '(did you mean "after_script"?)'],
  ['xyzzy: 1', '2:3', '', /unknown keys: xyzzy$/],
  ['stage: 1', '2:10', ':stage', 'must be a string, not the number 1'],
  [
    'stage: nowhere',
    '2:3',
    ':stage',
    'chosen stage nowhere does not exist; available stages are .pre, build, test, deploy, .post',
  ],
  [
    'script: [1, 2]',
    '2:12',
    ':script',
    'must be a list of strings, nested at most 10 levels, not a list with the number 1 in it',
  ],
  ['script:\n    - echo "a:b"\n    - echo a: b', '4:7', ':script', 'a line with ": " in it must be in quotes'],
  ['script: ""', '2:11', ':script', "can't be blank"],
  ['script: []', '2:3', ':script', "script can't be blank"],
  ['parallel: {matrix: [{}]}', '2:23', ':parallel:matrix[0]', 'must have at least one variable'],
  [`parallel: {matrix: [{A: ${'a'.repeat(250)}}]}`, '2:3', ':parallel', 'is too long: 255 characters at most'],
  ['id_tokens: {T: {aud: []}}', '2:24', ':id_tokens:T:aud', 'must have at least 1 item'],
  ['extends: .job', '2:3', 'job:extends', /is not defined$/],
  ['needs: [j]', '2:3', ':needs', /undefined need: j$/],
  ['image: [a]', '2:10', ':image', 'must be a string or a map'],
  ['image: {entrypoint: [a]}', '2:10', ':image:name', 'the key name is required'],
  [
    'image: {name: a, pull_policy: sometimes}',
    '2:33',
    ':image:pull_policy',
    'must be one of always, never, if-not-present; unknown value "sometimes"',
  ],
  ['image: {name: a, pull_policy: []}', '2:33', ':image:pull_policy', 'must have at least 1 item'],
  ['image: {name: a, docker: {}}', '2:28', ':image:docker', "can't be blank"],
  ['services: a', '2:13', ':services', 'must be a list of'],
  ['services: [{alias: a}]', '2:14', ':services[0]:name', 'required'],
  ['tags: a', '2:9', ':tags', 'must be a list of strings'],
  [`tags: [${Array(50).fill('a').join(', ')}]`, '2:9', ':tags', 'must be fewer than 50 tags'],
  ['when: always_on', '2:9', ':when', 'must be one of on_success, on_failure, always, manual, delayed'],
  ['when: never', '2:9', ':when', 'unknown value "never"'],
  ['when: delayed', '2:3', ':start_in', 'start_in must be a duration'],
  ['start_in: 1 day', '2:3', ':start_in', 'must be blank without when: delayed'],
  ['when: delayed\n  start_in: 8 days', '3:13', ':start_in', 'must not exceed the limit of one week'],
  ['timeout: 100', '2:12', ':timeout', 'must be a duration in a string'],
  ['timeout: soon', '2:12', ':timeout', 'must be a duration such as'],
  ['timeout: 2 months', '2:12', ':timeout', 'limit of one month'],
  ['timeout: 0', '2:12', ':timeout', 'duration'],
  ['retry: 3', '2:10', ':retry', 'must be an integer from 0 to 2, not 3'],
  ['retry: {max: 1, when: [bad]}', '2:26', ':retry:when[0]', 'unknown value "bad"'],
  ['retry: {exit_codes: ["1"]}', '2:24', ':retry:exit_codes', 'not a list with the text "1" in it'],
  ['allow_failure: maybe', '2:18', ':allow_failure', 'must be a boolean or a map with the keys exit_codes'],
  ['interruptible: 1', '2:18', ':interruptible', 'must be a boolean'],
  ['parallel: 0', '2:13', ':parallel', 'from 1 to 200'],
  ['parallel: 1000000', '2:13', ':parallel', 'from 1 to 200'],
  ['parallel: {matrix: []}', '2:3', ':parallel:matrix', 'generates no job'],
  ['parallel: {matrix: [{A: []}]}', '2:27', ':parallel:matrix[0]:A', 'at least 1 item'],
  ['parallel: {matrix: [{A: 1.5}]}', '2:27', ':parallel:matrix[0]:A', 'must be a string, an integer or a list of them'],
  [
    `parallel: {matrix: [{A: [${Array.from({ length: 15 }, (_, i) => i).join()}], B: [${Array.from({ length: 15 }, (_, i) => i).join()}]}]}`,
    '2:3',
    ':parallel:matrix',
    'generates more than 200 jobs',
  ],
  ['needs: build', '2:10', ':needs', 'must be a list of jobs, or a map with one'],
  ['needs: [other, other]', '2:3', ':needs', 'needs duplicated: other'],
  ['needs: [othr]', '2:3', ':needs', 'undefined need: othr (did you mean "other"?)'],
  ['needs: [later]', '2:3', ':needs', 'need later is not defined in current or prior stages'],
  ['needs: [job]', '2:3', ':needs', 'self-dependency'],
  ['needs: [{}]', '2:11', ':needs[0]', "can't be blank"],
  ['needs: [{job: other, parallel: 3}]', '2:34', ':needs[0]:parallel', 'must be a map'],
  ['needs: [{job: many, parallel: {matrix: [{A: z}]}}]', '2:3', ':needs', 'undefined need: many: [z]'],
  ['needs: [{project: a/b, job: c}]', '2:11', ':needs[0]', 'the keys ref, artifacts are required with project'],
  ['needs: [{job: c, ref: main}]', '2:20', ':needs[0]:ref', 'unknown keys: ref'],
  [
    `needs: [${Array(6).fill('{pipeline: "1", job: a}').join()}]`,
    '2:3',
    ':needs',
    '5 needs on other pipelines at most',
  ],
  ['needs: [{pipeline: a/b}]', '2:3', ':needs', 'mirrors a pipeline, which only trigger jobs can'],
  ['dependencies: [nothing]', '2:3', ':dependencies', 'undefined dependency: nothing'],
  ['dependencies: [later]', '2:3', ':dependencies', 'dependency later is not defined in current or prior stages'],
  ['needs: [other]\n  dependencies: [many]', '3:3', ':dependencies', 'dependencies many should be part of needs'],
  ['rules: []', '2:10', ':rules', 'must have at least 1 item'],
  ['rules: {if: $A}', '2:10', ':rules', 'must be a list of maps, nested at most 10 levels, not a map'],
  ['rules: [{}]', '2:11', ':rules[0]', "can't be blank"],
  ['rules: [{if: "$A == 1"}]', '2:16', ':rules[0]:if', 'invalid expression syntax: unexpected "1"'],
  ['rules: [{if: "$A =~ /(?!a)b/"}]', '2:16', ':rules[0]:if', 'not an RE2 expression'],
  ['rules: [{when: sometimes}]', '2:18', ':rules[0]:when', 'unknown value "sometimes"'],
  ['rules: [{when: delayed}]', '2:12', ':rules[0]:when', "start_in can't be blank"],
  ['rules: [{when: manual, start_in: 1 h}]', '2:26', ':rules[0]:start_in', 'only allowed with when: delayed'],
  ['rules: [{allow_failure: {exit_codes: 1}}]', '2:27', ':rules[0]:allow_failure', 'must be a boolean'],
  ['rules: [{changes: a}]', '2:21', ':rules[0]:changes', 'must be a list of strings'],
  ['rules: [{changes: {compare_to: main}}]', '2:21', ':rules[0]:changes', 'one of paths, regexp is required'],
  ['rules: [{changes: {regexp: "("}}]', '2:30', ':rules[0]:changes:regexp', 'not an RE2 expression'],
  [`rules: [{exists: [${Array(51).fill('a').join()}]}]`, '2:20', ':rules[0]:exists', '50 at most'],
  ['rules: [{exists: {paths: [a], ref: main}}]', '2:33', ':rules[0]:exists:ref', 'ref requires project'],
  ['rules: [{variables: {A: {value: b}}}]', '2:27', ':rules[0]:variables:A', 'must be a string'],
  ['rules: [{needs: [{pipeline: "1"}]}]', '2:21', ':rules[0]:needs[0]', 'unknown keys: pipeline'],
  ['rules: [{if: $A}]\n  only: [main]', '3:3', ':only', 'key may not be used with rules: only'],
  ['only: main', '2:9', ':only', 'must be a list of strings or regular expressions or a map'],
  ['only: {}', '2:9', ':only', "can't be blank"],
  ['only: ["/(/"]', '2:9', ':only', 'not an RE2 expression'],
  ['except: {variables: ["$A ="]}', '2:24', ':except:variables[0]', 'invalid expression syntax'],
  ['variables: [a]', '2:14', ':variables', 'must be a map'],
  ['rules: [{variables: {A: }}]', '2:24', ':rules[0]:variables:A', 'must be a string, not nothing'],
  ['services: [{name: a, variables: {A: }}]', '2:36', ':services[0]:variables:A', 'must be a string, not nothing'],
  ['parallel: {matrix: [{A: }]}', '2:24', ':parallel:matrix[0]:A', 'must be a string, an integer or a list of them'],
  ['rules: [{exists: {project: g/p}}]', '2:20', ':rules[0]:exists', 'one of paths, regexp is required'],
  ['rules: [{exists: {project: g/p, ref: x}}]', '2:20', ':rules[0]:exists', 'one of paths, regexp is required'],
  ['rules: [{exists: {}}]', '2:20', ':rules[0]:exists', "can't be blank"],
  ['rules: [{exists: {paths: [a], regexp: a}}]', '2:33', ':rules[0]:exists:regexp', 'exactly one of paths, regexp'],
  ['tags: [!reference [.base, tags], b]', '2:10', ':tags', 'not a list with a list in it'],
  ['dependencies: [!reference [.base, tags], b]', '2:18', ':dependencies', 'not a list with a list in it'],
  ['artifacts: {paths: [!reference [.base, tags]]}', '2:23', ':artifacts:paths', 'not a list with a list in it'],
  ['stage: !reference [.base, tags]', '2:10', ':stage', 'must be a string, not a list'],
  ['image: {name: a, ports: [80, [{number: 81, protocol: ftp}]]}', '2:56', ':image:ports[1]:protocol', 'http, https'],
  ['variables: {A: {value: b, description: c}}', '2:29', ':variables:A', 'unknown keys: description'],
  ['inherit: {default: [scripts]}', '2:23', ':inherit:default[0]', 'unknown value "scripts"'],
  ['environment: {url: a}', '2:16', ':environment:name', 'required'],
  ['environment: "a:b"', '2:16', ':environment', 'name may hold letters'],
  ['environment: /a', '2:16', ':environment', 'may not begin or end with a slash'],
  ['environment: {name: a, on_stop: other}', '2:3', ':environment:on_stop', 'on_stop job other has no environment'],
  [
    'environment: {name: a, kubernetes: {namespace: b, flux_resource_path: c}}',
    '2:38',
    ':environment:kubernetes:agent',
    'agent is required',
  ],
  [
    'environment: {name: a, kubernetes: {agent: c, flux_resource_path: b}}',
    '2:49',
    ':environment:kubernetes:flux_resource_path',
    'requires namespace',
  ],
  ['cache: {key: a/b}', '2:16', ':cache:key', "can't contain the slash"],
  ['cache: {key: ".."}', '2:16', ':cache:key', "can't be . or .."],
  ['cache: {key: {files: []}}', '2:24', ':cache:key:files', 'at least 1 item'],
  ['cache: {policy: sometimes}', '2:19', ':cache:policy', 'must be pull-push, push, pull or a variable'],
  [`cache: [${Array(5).fill('{paths: [a]}').join()}]`, '2:10', ':cache', '4 at most'],
  ['artifacts: [a]', '2:14', ':artifacts', 'must be a map'],
  ['artifacts: {public: true, access: all}', '2:14', ':artifacts', "the keys public and access can't be used together"],
  ['artifacts: {expose_as: a}', '2:15', ':artifacts:expose_as', "paths can't be blank"],
  ['artifacts: {expire_in: soon}', '2:26', ':artifacts:expire_in', 'duration'],
  ['artifacts: {reports: {junits: a}}', '2:25', ':artifacts:reports', '(did you mean "junit"?)'],
  [
    'artifacts: {reports: {coverage_report: {path: a}}}',
    '2:42',
    ':artifacts:reports:coverage_report:coverage_format',
    'required',
  ],
  ['coverage: abc', '2:13', ':coverage', 'between slashes'],
  ['coverage: /(/', '2:13', ':coverage', 'not an RE2 expression'],
  ['resource_group: a:b', '2:19', ':resource_group', 'may hold letters'],
  ['release: {tag_name: a}', '2:12', ':release:description', 'required'],
  ['release: {tag_name: a, description: b, released_at: soon}', '2:55', ':release:released_at', 'ISO 8601'],
  ['secrets: {A: {token: b}}', '2:16', ':secrets:A', 'is required'],
  ['id_tokens: {A: {aud: 1}}', '2:24', ':id_tokens:A:aud', 'must be a string or a list of strings'],
  ['inputs: {a: {type: string}}', '2:15', ':inputs:a', 'must have a default'],
  ['inputs: {a: {type: number, default: b}}', '2:39', ':inputs', 'default value is not a number'],
  ['publish: a', '2:3', ':publish', 'only be used within a pages job'],
  ['run: [{name: a, script: b}]', '2:3', '', "the keys script and run can't be used together"],
  ['trigger: a/b', '1:1', '', "the keys script and trigger can't be used together"],
  ['extends: [1]', '2:13', 'job:extends', 'extends must be a string'],
  ['extends: .bse', '2:3', 'job:extends', '".bse" is not defined (did you mean ".base"?)'],
]

const surroundings = `
.base: {tags: [a]}
other: {stage: build, script: x}
many: {stage: build, script: x, parallel: {matrix: [{A: [a, b]}]}}
later: {stage: deploy, script: x}
`

describe('what follows from an error', () => {
  test.each([
    ['needs', 'x: {script: 1}\njob: {script: x, needs: [x]}'],
    ['needs of an instance', 'x: {script: 1, parallel: 2}\njob: {script: x, needs: ["x 1/2"]}'],
    ['needs of rules', 'x: {script: 1}\njob: {script: x, rules: [{needs: [x]}]}'],
    ['dependencies', 'x: {script: 1}\njob: {script: x, dependencies: [x]}'],
    ['artifacts of a child pipeline', 'x: {script: 1}\njob: {trigger: {include: [{artifact: a.yml, job: x}]}}'],
    ['on_stop', 'x: {script: 1}\njob: {script: x, environment: {name: e, on_stop: x}}'],
    ['a list of stages', 'stages: [1]\njob: {stage: a, script: x}'],
    ['a stage', 'a: {stage: build, script: x}\njob: {stage: nowhere, script: x, needs: [a]}'],
    ['a job without a script', 'x: {stage: test}\njob: {script: x, needs: [x]}'],
  ])('is not told: %s', async (_, source) => {
    expect(await errorsOf(`${source}\n`)).toHaveLength(1)
  })
})

describe('a job', () => {
  test.each(jobs)('%s', async (body, place, path, says) => {
    const script = /^(?: {2})?(?:script|run):/m.test(body) && !body.startsWith('run') ? '' : '\n  script: x'
    const errors = await errorsOf(`job:\n  ${body}${script}${surroundings}`)
    const [error] = errors
    expect(error, JSON.stringify(errors)).toBeDefined()
    expect(`${error?.line}:${error?.column}`, error?.message).toBe(place)
    expect(error?.path).toBe(path.startsWith('job') ? path : `jobs:job${path}`)
    if (typeof says === 'string') expect(error?.message).toContain(says)
    else expect(error?.message).toMatch(says)
  })

  test.each([
    ['job: {}', 'should implement the script:, run:, or trigger: keyword'],
    ['job: text', 'should implement'],
    ['job: { stage: test, scirpt: x }', '(did you mean "script" by "scirpt"?)'],
    ['job: {script: }', "script can't be blank"],
    ['job: {stage: test, script: null, needs: []}', "script can't be blank"],
    ['job: {run: [], before_script: null}', "the keys before_script and run can't be used together"],
    ['job: {run: null}', "script can't be blank"],
    ['job: {trigger: null}', 'should contain either a trigger or a needs:pipeline'],
    ['job: {script: null, trigger: a/b}', "the keys script and trigger can't be used together"],
    ['job: {trigger: {include: [{local: a.yml, cache: true}]}}', 'cache requires remote'],
    ['include: [{local: a.yml, cache: true}]\njob: {script: x}', 'cache requires remote'],
    ['include: [{template: a.gitlab-ci.yml, cache: 1 hour}]\njob: {script: x}', 'cache requires remote'],
    ['include: [{project: a/b, file: a.yml, integrity: sha256-x}]\njob: {script: x}', 'sha256- and a base64 hash'],
    ['stagess: [a]\njob: {script: x}', '(did you mean the keyword "stages"?)'],
    ['job:\n  needs: [{job: other}]', 'should contain either a trigger or a needs:pipeline'],
    ['job: {trigger: a/b, when: delayed}', 'must be one of on_success, on_failure, always, manual'],
    ['job: {trigger: a/b, tags: [a]}', 'unknown keys: tags'],
    ['job: {trigger: {include: a, project: b/c}}', 'unknown keys: project beside include'],
    ['job: {trigger: {include: [a, b, c, d]}}', '3 at most'],
    ['job: {trigger: {include: [{artifact: a}]}}', 'artifact requires job'],
    ['job: {trigger: {branch: a}}', "project can't be blank"],
    ['job: {trigger: a/b, needs: [{pipeline: "1", job: a}]}', 'may not need jobs of other pipelines'],
    ['a: {script: x, parallel: 2}\na 1/2: {script: x}', 'another job is named "a 1/2", too'],
    ['10: {script: x}', 'the job name 10 must be a string'],
    ['true: {script: x}', 'the job name true must be a string'],
    ["'': {script: x}", "job name can't be blank"],
    ["'true': {script: x}", 'is reserved'],
    [`${'x'.repeat(256)}: {script: x}`, 'the job name is too long'],
    ['.hidden:\njob: {script: x}', "a hidden job can't be blank"],
    ['.hidden: {script: x}', 'at least one visible job'],
    ['__proto__: {script: x}', 'may not be used as a key'],
    ['job: {script: x, variables: {constructor: a}}', 'may not be used as a key'],
  ])('%s', async (source, says) => {
    const errors = await errorsOf(`${source}\n`)
    expect(errors.map(({ message }) => message).join('\n')).toContain(says)
    expect(errors[0]?.line).toBeGreaterThan(0)
  })
})

describe('the top of a file', () => {
  test.each([
    ['stages: test', '1:9', 'stages', 'must be a list of strings'],
    ['default: {script: x}', '1:11', 'default', 'unknown keys: script'],
    ['default: {image: a}\nimage: b', '2:1', 'image', 'defined both here and in default'],
    ['workflow: {variables: {A: b}}', '1:12', 'workflow', 'unknown keys: variables'],
    ['workflow: {rules: [{when: manual}]}', '1:27', 'workflow:rules[0]:when', 'must be one of always, never'],
    ['workflow: {auto_cancel: {on_new_commit: maybe}}', '1:41', 'workflow:auto_cancel:on_new_commit', 'unknown value'],
    ['variables: {A: {value: a, options: [b]}}', '1:17', 'variables:A:value', 'must be one of options'],
    ['variables: {A: [b]}', '1:16', 'variables:A', 'either a string or a map'],
    ['include: a.yml', '1:10', 'include', 'included file "a.yml": does not exist'],
  ])('%s', async (source, place, path, says) => {
    const [error] = await errorsOf(`${source}\njob: {script: x}\n`)
    expect(`${error?.line}:${error?.column} ${error?.path}`, error?.message).toBe(`${place} ${path}`)
    expect(error?.message).toContain(says)
  })

  test.each([
    ['a: !reference [b, c]\njob: {script: x}', '!reference ["b", "c"] could not be found'],
    ['.a: {b: !reference [.c]}\n.c: !reference [.a]\njob: {script: x}', 'part of a circular chain'],
    ['.a: {b: false}\njob: {script: !reference [.a, b]}', 'could not be found'],
    ['a: {extends: b}\nb: {extends: c}\nc: {extends: a}', 'circular dependency detected in extends: a → b → c → a'],
    ['a: {extends: .b}\n.b: text', 'must be a map'],
    [
      'a: {script: x, needs: [b]}\nb: {script: x, needs: [c]}\nc: {script: x, needs: [a]}',
      'circular needs): a → b → c → a',
    ],
  ])('%s', async (source, says) => {
    const errors = await errorsOf(`${source}\n`)
    expect(errors.map(({ message }) => message).join('\n')).toContain(says)
  })
})

test('all errors are told at once, in the order of the file, each once', async () => {
  const errors = await errorsOf('a:\n  script: 1\n  tags: b\nc: {script: x, when: d}\n')
  expect(errors.map(({ path, line }) => [path, line])).toEqual([
    ['jobs:a:script', 2],
    ['jobs:a:tags', 3],
    ['jobs:c:when', 4],
  ])
  const many = await errorsOf(Array.from({ length: 500 }, (_, index) => `job${index}: {script: 1}\n`).join(''))
  expect(many).toHaveLength(100)
})

test('a fault in an included file names the file and its line', async () => {
  const result = await compileConfig('include: shared.yml\njob: {extends: .x}\n', {
    file: 'ci.yml',
    fetchInclude: async () => ({ ok: true, content: '\n.x:\n  script: [1]\n' }),
  })
  expect(result).toMatchObject({ ok: false, errors: [{ file: 'shared.yml', line: 3, path: 'jobs:job:script' }] })
})

test('warnings do not fail a file', async () => {
  const result = await compileConfig(
    'job:\n  script: x\n  script: y\n  rules: [{when: always}]\n  retry: {max: 1, when: [job_execution_timeout]}\n',
    { fetchInclude: async () => ({ ok: false, reason: '' }) },
  )
  expect(result.ok).toBe(true)
  expect(result.warnings.map(({ message, line }) => [line, message])).toEqual([
    [3, expect.stringContaining('given twice')],
    [4, expect.stringContaining('may allow multiple pipelines')],
    [5, expect.stringContaining('deprecated value job_execution_timeout')],
  ])
})

test('what GitLab takes is taken: a script with an empty line, references in the command of a service', async () => {
  expect(await errorsOf('job: {script: [""]}\n')).toEqual([])
  const service = 'services: [{name: a, command: [!reference [.c, run], b]}]'
  expect(await errorsOf(`.c: {run: [x]}\njob: {script: x, ${service}}\n`)).toEqual([])
})

test('an option of an input is a value', async () => {
  const wrong = 'spec:\n  inputs:\n    a: {default: 1}\n    b: {type: number, default: x}\n---\njob: {script: x}\n'
  expect(await errorsOf(wrong)).toMatchObject([
    { line: 4, column: 32, message: 'b input: default value is not a number' },
  ])
  const errors = await errorsOf('spec: {inputs: {a: {options: [a, null], default: a}}}\n---\njob: {script: x}\n')
  expect(errors).toMatchObject([{ path: 'header:spec:inputs:a:options', message: 'an option must be a value' }])
})

test('rules of a trigger’s includes stay as they were written', async () => {
  const rules = '[{if: $A == "b", when: never}, {changes: {paths: [c], compare_to: d}}, {exists: [e]}]'
  const config = await compileOrThrow(`job: {trigger: {include: [{local: a.yml, rules: ${rules}}]}}\n`)
  const planned = planPipeline(config, push('x'))
  expect(planned.ok && planned.plan.jobs[0]?.trigger).toEqual({
    include: [
      {
        local: 'a.yml',
        rules: [
          { if: '$A == "b"', when: 'never' },
          { changes: { paths: ['c'], compare_to: 'd' } },
          { exists: { paths: ['e'] } },
        ],
      },
    ],
  })
})
