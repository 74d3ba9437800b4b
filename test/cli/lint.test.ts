/** `signalbox lint` as a person types it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { git, signalbox } from '../support/processes.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-lint-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function write(files: Record<string, string>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
    writeFileSync(path.join(folder, name), content)
  }
}

async function commit(): Promise<void> {
  await git(folder, 'init', '--quiet', '--initial-branch=main')
  await git(folder, 'add', '--all')
  await git(folder, 'commit', '--quiet', '--message', 'First thing')
}

const lint = (...args: string[]) => signalbox(['lint', ...args], { cwd: folder, env: { NO_COLOR: '1' } })

async function json(...args: string[]) {
  const { stdout, ...rest } = await lint('--json', ...args)
  return { ...rest, body: JSON.parse(stdout) }
}

it('finds a good file good, and shows it merged', async () => {
  write({
    '.gitlab-ci.yml': 'include: ci/part.yml\nbuild: {extends: .base, script: make}\n',
    'ci/part.yml': '.base: {tags: [x]}\n',
  })
  expect(await lint()).toEqual({ code: 0, stdout: '', stderr: '.gitlab-ci.yml is valid\n' })
  const { code, stdout } = await lint('--merged')
  expect(code).toBe(0)
  expect(stdout).toBe('---\n.base:\n  tags:\n  - x\nbuild:\n  tags:\n  - x\n  extends: .base\n  script: make\n')
})

it('says where a fault is, what was expected, and what was probably meant', async () => {
  write({ 'bad.yml': 'build:\n  scrpt: make\n  script: [1]\n  needs: [nobody]\n' })
  const { code, stdout, stderr } = await lint('bad.yml')
  expect(code).toBe(1)
  expect(stdout).toBe('')
  expect(stderr.split('\n')).toEqual([
    expect.stringMatching(/^bad\.yml:2:3: error: .*scrpt.*script/),
    expect.stringMatching(/^bad\.yml:3:\d+: error: jobs:build:script: must be a list of strings/),
    '',
  ])
  const { body } = await json('bad.yml')
  expect(body).toMatchObject({
    valid: false,
    errors: [
      { path: 'jobs:build', line: 2, column: 3, file: null },
      { path: expect.stringContaining('jobs:build:script'), line: 3 },
    ],
    jobs: [],
    variables: [],
    merged_yaml: null,
  })
})

it('shows what a person who starts a pipeline is asked for', async () => {
  const asked = { value: 'dev', description: 'Where to', options: ['dev', 'live'] }
  write({ 'asks.yml': JSON.stringify({ variables: { TO: asked, OTHER: 'x' }, job: { script: 'x' } }) })
  expect((await json('asks.yml')).body.variables).toEqual([{ key: 'TO', ...asked }])
})

it('names the file of a fault in an included one', async () => {
  write({ '.gitlab-ci.yml': 'include: part.yml\n', 'part.yml': 'job:\n  script: x\n  retry: 9\n' })
  const { code, stderr } = await lint()
  expect(code).toBe(1)
  expect(stderr).toMatch(/^part\.yml:3:\d+: error: /)
})

const rules = `
workflow: {rules: [{if: $STOP, when: never}, {when: always}]}
main: {script: x, rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH, when: manual}]}
tags: {script: x, rules: [{if: $CI_COMMIT_TAG}]}
nightly: {script: x, rules: [{if: $CI_PIPELINE_SOURCE == "schedule" && $KIND == "full"}]}
docker: {script: x, rules: [{exists: [Dockerfile]}]}
title: {script: x, rules: [{if: $CI_COMMIT_TITLE =~ /First/}]}
`

it('tells which jobs an event would run, and why not the others', async () => {
  write({ '.gitlab-ci.yml': rules, Dockerfile: '' })
  await commit()
  const names = async (...args: string[]) => (await json(...args)).body.jobs.map((job: { name: string }) => job.name)
  expect(await names()).toEqual(['main', 'docker', 'title'])
  expect(await names('--jobs', '--ref', 'feature')).toEqual(['docker', 'title'])
  expect(await names('--jobs', '--ref', 'refs/tags/v1')).toEqual(['tags', 'docker', 'title'])
  await git(folder, 'tag', 'v2')
  expect(await names('--jobs', '--ref', 'v2')).toEqual(['tags', 'docker', 'title'])
  expect(await names('--jobs', '--source', 'schedule', '--var', 'KIND=full')).toContain('nightly')

  const { code, body } = await json('--jobs')
  expect(code).toBe(0)
  expect(body).toMatchObject({
    valid: true,
    pipeline: { source: 'push', ref: 'main', tag: false, created: true, reason: null },
    jobs: [
      {
        name: 'main',
        stage: 'test',
        when: 'manual',
        allow_failure: false,
        by: 'rules[0]',
        reason: 'if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH, when: manual',
      },
      { name: 'docker', reason: 'exists: Dockerfile, when: on_success' },
      { name: 'title' },
    ],
    left_out: [
      { name: 'tags', stage: 'test', by: 'rules', reason: 'no rule matches: [0] if: $CI_COMMIT_TAG' },
      { name: 'nightly' },
    ],
  })
  expect((await lint('--jobs')).stdout.split('\n')).toEqual([
    'test\tmain\tmanual\trules[0]\tif: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH, when: manual',
    'test\ttags\tleft out\trules\tno rule matches: [0] if: $CI_COMMIT_TAG',
    expect.stringContaining('nightly\tleft out'),
    'test\tdocker\ton_success\trules[0]\texists: Dockerfile, when: on_success',
    expect.stringContaining('title\ton_success'),
    '',
  ])
})

it('says that there is no pipeline, which is no fault of the file', async () => {
  write({ '.gitlab-ci.yml': rules })
  const { code, body } = await json('--jobs', '--var', 'STOP=1')
  expect(code).toBe(0)
  expect(body).toMatchObject({ valid: true, jobs: [], pipeline: { created: false } })
  expect(body.left_out).toHaveLength(5)
  expect(body.left_out[0]).toMatchObject({ by: 'workflow:rules[0]', reason: 'if: $STOP, when: never' })
  expect((await lint('--jobs', '--var', 'STOP=1')).stderr).toContain('no pipeline')
})

it('calls it a fault when a pipeline cannot be made, to those who ask about one', async () => {
  write({
    '.gitlab-ci.yml': 'a: {script: x, rules: [{if: $NO}]}\nb: {script: x, needs: [a]}\n',
  })
  expect(await json()).toMatchObject({ code: 0, body: { valid: true } })
  const { code, body } = await json('--jobs')
  expect(code).toBe(1)
  expect(body).toMatchObject({ valid: false, errors: [{ line: 2, message: expect.stringContaining("needs 'a'") }] })
})

it('knows what a merge request changes, and says that it does not know what a push does', async () => {
  const changes = 'docs: {script: x, rules: [{changes: [docs/*]}]}\n'
  const since = 'since: {script: x, rules: [{changes: {paths: [new], compare_to: main}}]}\n'
  write({ '.gitlab-ci.yml': `${changes}${since}always: {script: x, rules: [{when: always}]}\n`, 'docs/a': '' })
  await commit()
  await git(folder, 'checkout', '--quiet', '-b', 'feature')
  await git(folder, 'update-ref', 'refs/remotes/origin/main', 'main')
  await git(folder, 'symbolic-ref', 'refs/remotes/origin/HEAD', 'refs/remotes/origin/main')
  const names = async (...args: string[]) =>
    (await json('--jobs', ...args)).body.jobs.map((job: { name: string }) => job.name)
  expect(await names()).toEqual(['docs', 'always'])
  expect((await lint('--jobs')).stderr).toContain('rules:changes counts as true')
  expect(await names('--source', 'merge_request_event')).toEqual(['always'])
  write({ 'docs/b': '', new: '' })
  expect(await names('--source', 'merge_request_event')).toEqual(['docs', 'since', 'always'])
})

it('puts variables into includes', async () => {
  write({ '.gitlab-ci.yml': 'include: $WHERE/part.yml\n', 'a/part.yml': 'a: {script: x}\n' })
  expect((await lint('--var', 'WHERE=a')).code).toBe(0)
  expect((await lint()).code).toBe(1)
})

it('prints a schema of the language', async () => {
  const { code, stdout } = await lint('--schema')
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ title: '.gitlab-ci.yml', properties: { stages: {} } })
})

it('refuses wrong use', async () => {
  expect((await lint('none.yml')).code).toBe(3)
  write({ '.gitlab-ci.yml': 'a: {script: x}\n' })
  expect((await lint('--source', 'pushes')).code).toBe(2)
  expect((await lint('--jobs', '--var', 'x')).code).toBe(2)
})

it('finds the repository’s file from any of its folders, and says what is no file', async () => {
  write({ '.gitlab-ci.yml': 'a: {script: x}\n', 'deep/er/x': '' })
  await commit()
  const from = (...args: string[]) => signalbox(['lint', ...args], { cwd: path.join(folder, 'deep/er') })
  expect(await from()).toEqual({ code: 0, stdout: '', stderr: '.gitlab-ci.yml is valid\n' })
  expect(await from('..')).toMatchObject({ code: 3, stderr: expect.stringContaining('deep is a folder') })
  expect(await from('no/where.yml')).toMatchObject({ code: 3, stderr: expect.stringContaining('does not exist') })
})

it('takes no ref that git would not, and calls a detached HEAD no branch', async () => {
  write({ '.gitlab-ci.yml': 'a: {script: x}\n' })
  await commit()
  for (const ref of ['', 'a b', '-x', 'HEAD']) expect((await lint('--jobs', `--ref=${ref}`)).code, ref).toBe(2)
  await git(folder, 'checkout', '--quiet', '--detach')
  expect((await lint('--jobs')).stderr).toContain('push of a detached HEAD:\n')
})
