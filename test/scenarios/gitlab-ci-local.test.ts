/**
 * Files that the peer tool gitlab-ci-local runs in its own tests, run by `signalbox run` to their expected end. Those that
 * it refuses on purpose are in test/core/ci-config/peer-corpus.test.ts, where every file is compiled.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { isLong } from '../support/long.js'
import { git, signalbox } from '../support/processes.js'

const corpus = fileURLToPath(new URL('../../../shared/corpus/gitlab-ci-local/', import.meta.url))
const hasCorpus = existsSync(corpus)

interface Scenario {
  /** Folder of the corpus; may be deeper than a case. */
  folder: string
  args?: string[]
  /** Files that the case needs and the corpus has not. */
  files?: string[]
  code: number
  /** How each job ended: `failed*` was allowed to. Jobs that are not named must not be in the pipeline. */
  jobs?: Record<string, string>
  /** Lines that jobs write, each `JOB | LINE`, in this order. */
  says?: string[]
  /** The same of a second run of the case. */
  saysAgain?: string[]
  never?: string[]
  /** How many caches are kept afterwards. */
  cached?: number
  /** What of the kept artifacts is there, and what is not. */
  kept?: { present: string[]; absent: string[] }
  /** What is told when there is no pipeline. */
  refused?: RegExp
}

const each = (status: string, ...names: string[]) => Object.fromEntries(names.map((name) => [name, status]))
const matrix = ['foo', 'bar'].flatMap((name) => ['dev', 'sta', 'pro'].map((tier) => `${name}, ${tier}`))

const scenarios: Scenario[] = [
  {
    folder: 'after-script',
    code: 1,
    jobs: { ...each('success', 'build-job', 'test-job', 'deploy-job'), 'post-job': 'failed' },
    says: ['build-job | Cleanup after test', 'deploy-job | running', 'deploy-job | success', 'post-job | failed'],
  },
  { folder: 'ansi-sections', code: 0, jobs: each('success', 'test-job'), says: ['test-job | inside section'] },
  {
    folder: 'artifacts-after-afterscript',
    code: 0,
    jobs: each('success', 'artifact-job'),
    kept: { present: ['logs/foo.log'], absent: ['logs/foo.badlog'] },
  },
  {
    folder: 'artifacts-exclude',
    code: 1,
    // `foo/qux/qu ux/**` leaves the empty folder with the peer; in doublestar, which GitLab's runner uses, it means the
    // folder, too.
    jobs: { 'produce-artifacts': 'success', 'consume-artifacts': 'failed' },
    says: ['consume-artifacts | $ [ -e "foo/qux/qu" ]', 'consume-artifacts | $ [ -e "foo/qux/qu ux" ]'],
    never: ['consume-artifacts | ./foo/bar', 'consume-artifacts | $ [ ! -e foo/bar ]'],
  },
  {
    folder: 'artifacts-globstar',
    code: 0,
    jobs: each('success', 'pre-job', 'test-job', 'no-match'),
    says: ['test-job | Pre something'],
  },
  {
    folder: 'artifacts-no-shell-out',
    code: 0,
    jobs: each('success', 'produce'),
    kept: { present: ['path/file1'], absent: ['path/file2'] },
  },
  {
    folder: 'artifacts-shell-fail',
    code: 1,
    jobs: { build: 'success', test: 'failed', deploy: 'success' },
    says: ['deploy | Deploy something'],
  },
  {
    folder: 'artifacts-shell-fail-always',
    code: 1,
    jobs: { produce: 'failed', consume: 'skipped' },
    kept: { present: ['path/file1'], absent: [] },
  },
  {
    folder: 'artifacts-to-source-no',
    code: 0,
    jobs: each('success', 'produce', 'produce-global'),
    kept: { present: ['path/file-descriptor', 'path/file-global'], absent: [] },
  },
  {
    folder: 'before-script',
    code: 0,
    jobs: each('success', 'test-job'),
    says: ['test-job | Before test', 'test-job | Test something'],
  },
  {
    folder: 'before-script-default',
    code: 0,
    jobs: each('success', 'test-job'),
    says: ['test-job | Before test', 'test-job | Test something'],
  },
  { folder: 'cache-conditional-policy', code: 0, jobs: each('success', 'test-job'), cached: 0 },
  { folder: 'cache-directives', code: 0, jobs: each('success', 'test-job'), cached: 1 },
  {
    folder: 'cache-double-run',
    code: 0,
    jobs: each('success', 'test-job'),
    says: ['test-job | Cache not warm'],
    saysAgain: ['test-job | Cache warm'],
  },
  {
    folder: 'cache-key-files',
    files: ['fakepackage.json'],
    code: 1,
    jobs: {
      'produce-cache': 'success',
      // The peer expands `$PACKAGE` among the files of a key; GitLab takes it as the name of a file.
      'consume-cache': 'failed',
      'cache-key-file referencing $CI_PROJECT_DIR': 'success',
      'cache-key-file file dont exist': 'success',
    },
    says: ['consume-cache | $ test -f key-files/file1'],
    never: ['consume-cache | $ test -f global/file1'],
  },
  { folder: 'cache-shell', code: 0, jobs: each('success', 'produce-cache', 'consume-cache'), cached: 1 },
  {
    folder: 'cache-when',
    code: 1,
    jobs: {
      ...each('success', 'on_success_without_error', 'on_failure_without_error', 'always_without_error'),
      ...each('failed', 'on_success_with_error', 'on_failure_with_error', 'always_with_error'),
    },
    cached: 4,
  },
  {
    folder: 'cli-option-variables',
    args: ['--var', 'CLI_VAR=hello', '--var', 'CLI_VAR_DOT=dotted=text', '--var', 'CLI_MULTILINE=one\ntwo'],
    code: 0,
    jobs: each('success', 'test-job'),
    says: ['test-job | hello', 'test-job | dotted=text', 'test-job | one', 'test-job | two'],
  },
  { folder: 'concurrency', code: 0, jobs: each('success', 'one', 'two') },
  {
    folder: 'environment',
    code: 0,
    jobs: each('success', 'deploy-dev-job', 'deploy-stage-job', 'deploy-stage-job-with-expansion'),
    says: [
      'deploy-stage-job | Stage Domain',
      'deploy-stage-job | http://stage.domain.com',
      'deploy-stage-job | stop',
      'deploy-stage-job | production',
      'deploy-stage-job-with-expansion | stage-domain-foobar-long-string',
    ],
  },
  {
    folder: 'extends',
    code: 0,
    jobs: each('success', 'test-job'),
    says: [
      'test-job | Test something (before_script)',
      'test-job | Test something',
      'test-job | Test something (after_script)',
    ],
    never: ['Should not be printed'],
  },
  { folder: 'include-inputs/input-templates/basic-example', code: 0, jobs: each('success', 'scan-website', 'scan-db') },
  {
    folder: 'include-rules',
    code: 0,
    jobs: each('success', 'build-job'),
    // The peer sets GITLAB_CI to false; it is true here, as on any runner.
    says: ['build-job | This should not appear'],
  },
  {
    folder: 'list-case',
    code: 0,
    jobs: each('success', 'test-job', 'build-job'),
    says: ['test-job | Hello, error!', 'build-job | Build something'],
  },
  {
    folder: 'list-csv-case',
    code: 0,
    jobs: each('success', 'test-job', 'build-job', 'exit-codes-job', 'deploy-job'),
  },
  {
    folder: 'log-timestamps',
    code: 1,
    jobs: { 'build-job': 'success', 'failed-job': 'failed' },
    says: ['build-job | test done'],
  },
  {
    folder: 'long-running-silent-build-job',
    code: 0,
    jobs: each('success', 'build-job'),
    says: ['build-job | 1', 'build-job | 11'],
  },
  { folder: 'needs-artifacts', code: 0, jobs: each('success', 'one', 'two', 'test-job') },
  { folder: 'needs-empty', code: 0, jobs: each('success', 'one', 'two', 'deploy-job') },
  {
    folder: 'needs-optional',
    code: 0,
    jobs: each('success', 'executed-job'),
    says: ['executed-job | Job executed!'],
  },
  {
    folder: 'needs-optional-complex',
    files: ['test.txt'],
    code: 0,
    jobs: each('success', 'validate-job', 'executed-job', 'skipped-job'),
  },
  { folder: 'needs-optional-complex', code: 0, jobs: each('success', 'validate-job', 'executed-job') },
  {
    folder: 'needs-pipeline',
    code: 1,
    // The peer leaves such needs out; there is no pipeline of that name, so on GitLab the job fails, too. A job that has
    // never run is told with why in place of how long.
    jobs: {
      'needed-job': 'success',
      'needs-pipeline-job foobar is no pipeline of the family of parents and children of pipeline 1.': 'failed',
    },
    never: ['Job executed!'],
  },
  {
    folder: 'needs-sequence',
    args: ['deploy-job', 'no-needs-job'],
    code: 0,
    jobs: each('success', 'pre-job', 'build-job', 'test-job', 'deploy-job', 'no-needs-job'),
    says: [
      'pre-job | Pre something',
      'build-job | Build something',
      'test-job | Test something',
      'deploy-job | Deploy something',
    ],
  },
  { folder: 'never-needs', code: 1, refused: /'test-job' job needs 'never-job' job/ },
  {
    folder: 'parallel-matrix',
    code: 0,
    jobs: each(
      'success',
      'pre-job',
      ...['foo', 'bar', 'beb'].map((name) => `build-job: [${name}]`),
      ...[...matrix, 'beb'].map((values) => `test-job: [${values}]`),
    ),
    says: ["build-job: [foo] | NAME:'foo' 1/3", "test-job: [bar, pro] | NAME:'bar' TIER:'pro' 6/7"],
  },
  {
    folder: 'parallel-matrix-environment',
    code: 0,
    jobs: each('success', ...['a', 'b', 'c'].map((one) => `run-all-clusters: [cluster-${one}]`)),
    says: ['run-all-clusters: [cluster-b] | CLUSTER=cluster-b'],
  },
  {
    folder: 'preview',
    code: 0,
    jobs: each('success', 'child-job'),
    says: ['child-job | Default before script', 'child-job | Irrelevant'],
  },
  {
    folder: 'reference',
    code: 0,
    jobs: each('success', 'test-job', 'issue-909'),
    says: [
      'test-job | Ancient',
      'test-job | Base',
      'test-job | Setting something general up',
      'test-job | array root',
      'test-job | Yoyo',
    ],
  },
  {
    folder: 'reference',
    args: ['--file', '.gitlab-ci-1.yml'],
    code: 0,
    jobs: each('success', 'test-job'),
    says: ['test-job | byrdalos'],
  },
  {
    folder: 'reference',
    args: ['--file', '.gitlab-ci-complex.yml'],
    code: 0,
    jobs: each('success', 'job'),
    says: ['job | foo'],
  },
  {
    folder: 'rules-exists',
    files: ['exists.file', 'existsDir/exists.file', 'existsDir/existDirNested/recursive.file'],
    code: 0,
    jobs: each(
      'success',
      'executed-job-file',
      'executed-job-paths',
      'executed-job-dir',
      'executed-job-dir-recursive',
      'var-expand-test',
    ),
  },
  {
    folder: 'rules-needs',
    code: 0,
    args: ['test-job'],
    // On the branch main, the rule's needs replace those of the job.
    jobs: each('success', 'build-production', 'test-job'),
  },
  {
    folder: 'script-failures',
    code: 1,
    jobs: {
      ...each('failed', 'test-job', 'test-job-after-script', 'exit_code[number] not allowed'),
      ...each('failed', 'exit_code[number[]] not allowed', 'rules:allow_failure precedence'),
      ...each('failed*', 'allow-failure-job', 'allow-failure-after-script', 'exit_code[number] allowed'),
      ...each('failed*', 'exit_code[number[]] allowed', 'rules:without allow_failure'),
      'deploy-job': 'skipped',
    },
    says: ['test-job | Something in the log', 'test-job | ERROR: Job failed: exit code 1'],
  },
  {
    folder: 'shell-executor-no-image',
    code: 0,
    jobs: each('success', 'test-job'),
    says: ['test-job | Heya from default-image'],
  },
  {
    folder: 'variable-escaping',
    code: 0,
    jobs: each('success', 'test $ character in CI/CD variable'),
    says: ['test $ character in CI/CD variable | ls "-al" $TMP_DIR'],
  },
  { folder: 'when', code: 1, refused: /unknown value "never"/ },
  {
    folder: 'when-always',
    code: 1,
    jobs: { 'build-job': 'failed', 'test-job': 'success' },
    says: ['test-job | Test something'],
  },
  {
    folder: 'when-on-failure',
    code: 1,
    jobs: { 'pre-job': 'success', 'build-job': 'failed', 'test-job': 'success', 'deploy-job': 'skipped' },
  },
  {
    folder: 'workflow-rules-variables',
    code: 0,
    jobs: each('success', 'test-job'),
    says: ['test-job | WORKFLOW_VAR=from-workflow-rules'],
  },
  {
    folder: 'workflow-rules-variables',
    args: ['--file', '.gitlab-ci-job-override.yml'],
    code: 0,
    jobs: each('success', 'test-job'),
    says: ['test-job | WORKFLOW_VAR=from-job'],
  },
  {
    folder: 'workflow-rules-variables',
    args: ['--file', '.gitlab-ci-no-match.yml'],
    code: 1,
    refused: /filtered by workflow rules/,
  },
]

const engine = 'an image without which it has no meaning: the docker executor'
const elsewhere =
  'files of other projects, of the web or of components: a coordinator (compiled in peer-corpus.test.ts)'
const compiledOnly = 'nothing to run that another case does not: compiled in peer-corpus.test.ts'
const refusedByName = 'refused as its name says: peer-corpus.test.ts'
const ofThePeer = 'about files and flags of the peer alone'

/** What these are about, others of the table are about too: run with `test:long`, where all are. */
const alsoElsewhere = new Set([
  'artifacts-shell-fail-always',
  'after-script',
  'ansi-sections',
  'artifacts-globstar',
  'artifacts-no-shell-out',
  'artifacts-to-source-no',
  'before-script',
  'before-script-default',
  'cache-conditional-policy',
  'cache-directives',
  'cache-shell',
  'concurrency',
  'list-case',
  'list-csv-case',
  'log-timestamps',
  'long-running-silent-build-job',
  'needs-empty',
  'needs-artifacts',
  'needs-optional',
  'needs-optional-complex test.txt',
  'needs-optional-complex',
  'parallel-matrix-environment',
  'preview',
  'reference',
  'reference --file .gitlab-ci-1.yml',
  'reference --file .gitlab-ci-complex.yml',
  'rules-needs test-job',
  'when-always',
  'when-on-failure',
  'workflow-rules-variables',
  'workflow-rules-variables --file .gitlab-ci-job-override.yml',
  'workflow-rules-variables --file .gitlab-ci-no-match.yml',
])

/** Cases that are not run here, and what they wait for or where they are tested instead. */
const notRun: Record<string, string> = {
  'artifacts-docker-readonly-permissions': engine,
  'basic-inputs': compiledOnly,
  'cache-docker-mount': refusedByName,
  'cache-paths-not-array': refusedByName,
  'component-inputs-cli': elsewhere,
  'component-inputs-multiple': elsewhere,
  'container-executable': engine,
  'custom-ca-cert': engine,
  'dependencies-not-found': refusedByName,
  'dependency-proxy': engine,
  'extra-host': engine,
  'gcl-variable-env': ofThePeer,
  'gitlab-runner-emulation': engine,
  'hang-forever': 'never ends: the peer kills it',
  image: engine,
  'include-invalid-remote': refusedByName,
  'include-nested': compiledOnly,
  'include-project-file-ref-with-inner-local': elsewhere,
  'include-project-file-with-variable': elsewhere,
  'include-remote': elsewhere,
  interactive: ofThePeer,
  'interactive-image': engine,
  'invalid-stages': refusedByName,
  'mac-address': engine,
  'needs-contains-dependencies': refusedByName,
  'needs-invalid-stage': refusedByName,
  'needs-not-array': refusedByName,
  'needs-parallel-matrix-expressions': refusedByName,
  'needs-parallel-matrix-expressions-unknown-identifier': refusedByName,
  'needs-parallel-matrix-static': refusedByName,
  'needs-unspecified-job': refusedByName,
  'network-arg': engine,
  'project-variables-file': ofThePeer,
  'rules-blank': refusedByName,
  'rules-curly-bracket-if': refusedByName,
  'schema-validation': refusedByName,
  'self-dependency': refusedByName,
  services: engine,
  umask: engine,
  'variables-null': refusedByName,
}

/** The last status that was told of each job. */
function endings(talk: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const line of talk.split('\n')) {
    const [, status, rest = ''] = /^\S (\w+) (.*)$/.exec(line) ?? []
    if (status === undefined || !/^(success|failed|skipped|manual|canceled)$/.test(status)) continue
    if (line.startsWith('pipeline ')) continue
    const name = rest.replace(/ \d+(?:\.\d+)?[hms]\b.*$/, '')
    found[name] = rest.endsWith('(allowed to fail)') ? `${status}*` : status
  }
  return found
}

/** Jobs run side by side, so the order is that of each job's own lines. */
function expectLines(lines: readonly string[], wanted: readonly string[]): void {
  const reached = new Map<string, number>()
  for (const line of wanted) {
    const job = line.slice(0, line.indexOf(' | '))
    const at = lines.indexOf(line, reached.get(job))
    expect(at, `${line} in\n${lines.join('\n')}`).toBeGreaterThanOrEqual(0)
    reached.set(job, at + 1)
  }
}

async function run({ folder, args = [], files = [], kept, saysAgain }: Scenario) {
  const place = mkdtempSync(path.join(os.tmpdir(), 'signalbox-scenario-'))
  try {
    const repository = path.join(place, 'repository')
    cpSync(path.join(corpus, folder), repository, { recursive: true })
    for (const name of files) {
      const file = path.join(repository, name)
      mkdirSync(path.dirname(file), { recursive: true })
      writeFileSync(file, '')
    }
    await git(repository, 'init', '--quiet', '--initial-branch=main')
    await git(repository, 'add', '--all')
    await git(repository, 'commit', '--quiet', '--message', 'All')
    const unpacked = path.join(place, 'kept')
    const start = () =>
      signalbox(['run', ...args, ...(kept ? ['--artifacts', unpacked] : [])], {
        cwd: repository,
        env: { NO_COLOR: '1', XDG_CACHE_HOME: path.join(place, 'cache') },
      })
    const result = await start()
    const again = saysAgain && (await start()).stdout
    const found = existsSync(unpacked) ? readdirSync(unpacked, { recursive: true, encoding: 'utf8' }) : []
    const caches = path.join(place, 'cache')
    const kinds = existsSync(caches) ? readdirSync(caches, { recursive: true, encoding: 'utf8' }) : []
    return { ...result, again, found, cached: kinds.filter((name) => name.endsWith('.zip')).length }
  } finally {
    rmSync(place, { recursive: true, force: true, maxRetries: 3 })
  }
}

describe.skipIf(!hasCorpus)('cases of gitlab-ci-local (needs ../shared/corpus)', () => {
  const named = scenarios.map(
    (one) => [[one.folder, ...(one.args ?? []), ...(one.files ?? [])].join(' '), one] as const,
  )
  const chosen = named.filter(([name]) => isLong || !alsoElsewhere.has(name))

  it.each(chosen)('%s', { timeout: 120_000 }, async (_, scenario) => {
    const { code, stdout, stderr, found, again, cached } = await run(scenario)
    expect(code, stderr).toBe(scenario.code)
    if (scenario.refused) expect(stderr).toMatch(scenario.refused)
    expect(endings(stderr)).toEqual(scenario.jobs ?? {})
    expectLines(stdout.split('\n'), scenario.says ?? [])
    if (scenario.cached !== undefined) expect(cached).toBe(scenario.cached)
    if (again !== undefined) expectLines(again.split('\n'), scenario.saysAgain ?? [])
    for (const text of scenario.never ?? []) expect(stdout).not.toContain(text)
    for (const name of scenario.kept?.present ?? []) {
      expect(
        found.filter((one) => one.endsWith(name)),
        name,
      ).not.toEqual([])
    }
    for (const name of scenario.kept?.absent ?? []) expect(found.filter((one) => one.endsWith(name))).toEqual([])
  })

  it('are all run here, or in the table of those that are not', () => {
    expect([...alsoElsewhere].filter((name) => !named.some(([one]) => one === name))).toEqual([])
    const cases = readdirSync(corpus, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    const run = new Set(scenarios.map(({ folder }) => folder.split('/')[0]!))
    expect(new Set([...run, ...Object.keys(notRun)])).toEqual(new Set(cases.map(({ name }) => name)))
    expect(Object.keys(notRun).filter((name) => run.has(name))).toEqual([])
  })
})
