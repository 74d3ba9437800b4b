/** What `signalbox run` takes the working tree for: branch, default branch, project, source, variables, files. */
import { mkdtempSync, rmSync, utimesSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, it } from 'vitest'
import { pathOfRemote } from '../../src/cli/project-path.js'
import { parseVariableFile } from '../../src/cli/variable-file.js'
import { git } from '../support/processes.js'
import { Folder } from '../support/run-folder.js'

const deployments = {
  '.gitlab-ci.yml': {
    deploy: { script: ['echo DEPLOYS'], rules: [{ if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH' }] },
    look: {
      script: [
        'echo "branch=$CI_COMMIT_BRANCH ref=$CI_COMMIT_REF_NAME tag=$CI_COMMIT_TAG"',
        'echo "of $CI_DEFAULT_BRANCH, protected $CI_COMMIT_REF_PROTECTED"',
      ],
    },
  },
}

it('does not take the branch checked out for the default one', async () => {
  using folder = new Folder()
  await folder.write(deployments).commit()
  await folder.git('checkout', '--quiet', '-b', 'feature')
  const { code, stdout } = await folder.run()
  expect(code).toBe(0)
  expect(stdout).not.toContain('DEPLOYS')
  expect(stdout).toContain('look | branch=feature ref=feature tag=\n')
  expect(stdout).toContain('look | of main, protected false\n')
  expect((await folder.run('--list')).stdout).not.toContain('deploy')

  const main = await folder.run('--ref', 'main')
  expect(main.stdout).toContain('deploy | DEPLOYS\n')
  expect(main.stdout).toContain('look | of main, protected true\n')
  expect((await folder.run('--ref', 'no..where')).code).toBe(2)
})

it('asks origin for the default branch, and names no branch where none is checked out', async () => {
  using folder = new Folder()
  await folder.write(deployments).commit()
  await folder.git('branch', '--move', 'main', 'trunk')
  await folder.git('branch', 'main')
  const clone = mkdtempSync(path.join(os.tmpdir(), 'signalbox-clone-'))
  try {
    await git(clone, 'clone', '--quiet', folder.path, '.')
    await git(clone, 'tag', 'v1')
    await git(clone, 'checkout', '--quiet', '--detach')
    const { code, stdout } = await folder.run('--cwd', clone)
    expect(code).toBe(0)
    expect(stdout).toContain('look | branch= ref=HEAD tag=\n')
    expect(stdout).toContain('look | of trunk, protected false\n')
    expect(stdout).not.toContain('DEPLOYS')
    const tag = await folder.run('--cwd', clone, '--ref', 'v1')
    expect(tag.stdout).toContain('look | branch= ref=v1 tag=v1\n')
  } finally {
    rmSync(clone, { recursive: true, force: true })
  }
})

it.each([
  ['a shallow clone of it', ['clone', '--quiet', '--depth', '1', '--branch', 'feature'], [], 'main'],
  [
    'a clone of it with a remote of another name',
    ['clone', '--quiet', '--origin', 'upstream', '--branch', 'feature'],
    [],
    'trunk',
  ],
  [
    'a clone of it with a fork as origin',
    ['clone', '--quiet', '--origin', 'upstream', '--branch', 'feature'],
    ['remote', 'add', 'origin', 'https://forge.invalid/me/fork.git'],
    'trunk',
  ],
])('does not take a branch for the default one that is alone in %s', async (_, clone, then, wanted) => {
  using folder = new Folder()
  await folder.write(deployments).commit()
  await folder.git('branch', '--move', 'main', 'trunk')
  await folder.git('branch', 'feature')
  const place = mkdtempSync(path.join(os.tmpdir(), 'signalbox-clone-'))
  try {
    await git(place, ...clone, `file://${folder.path}`, '.')
    if (then.length > 0) await git(place, ...then)
    const { code, stdout } = await folder.run('--cwd', place)
    expect(code).toBe(0)
    expect(stdout).not.toContain('DEPLOYS')
    expect(stdout).toContain(`look | of ${wanted}, protected false\n`)
    expect((await folder.run('--cwd', place, '--list')).stdout).not.toContain('deploy')
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
})

it('compares with the branches of the only remote, whatever its name', async () => {
  using folder = new Folder()
  await folder.write({ '.gitlab-ci.yml': { other: { script: 'true' } }, 'src/a': 'one' }).commit()
  await folder.git('checkout', '--quiet', '-b', 'feature')
  const rules = [{ changes: { paths: ['src/a'], compare_to: 'main' } }]
  await folder.write({ '.gitlab-ci.yml': { compared: { script: 'true', rules } }, 'src/a': 'two' }).commit()
  const place = mkdtempSync(path.join(os.tmpdir(), 'signalbox-clone-'))
  try {
    await git(place, 'clone', '--quiet', '--origin', 'upstream', '--branch', 'feature', folder.path, '.')
    expect((await folder.run('--cwd', place)).stdout).toContain('compared | $ true\n')
    expect((await folder.run('--cwd', place, '--list')).stdout).toContain('compared')
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
})

it('knows the refs of the clone in every form that compare_to takes', async () => {
  using folder = new Folder()
  await folder.write({ 'src/a': 'one' }).commit()
  const first = (await folder.git('rev-parse', 'HEAD')).trim()
  await folder.git('tag', 'v1')
  await folder.git('tag', '--annotate', '--message', 'two', 'v2')
  await folder.git('checkout', '--quiet', '-b', 'feature')
  const refs = {
    branch: 'main',
    full: 'refs/heads/main',
    remote: 'origin/main',
    tag: 'v1',
    'full-tag': 'refs/tags/v2',
    sha: first,
    short: first.slice(0, 10),
  }
  const job = (ref: string, file: string) => ({
    script: ['echo here'],
    rules: [{ changes: { paths: [file], compare_to: ref } }],
  })
  const jobs = Object.entries(refs).flatMap(([name, ref]) => [
    [name, job(ref, 'src/**')],
    [`not-${name}`, job(ref, 'doc/**')],
  ])
  folder.write({ 'src/a': 'two', '.gitlab-ci.yml': Object.fromEntries(jobs) })
  await folder.git('add', '.')
  await folder.git('commit', '--quiet', '--message', 'Second')
  const clone = mkdtempSync(path.join(os.tmpdir(), 'signalbox-clone-'))
  try {
    await git(clone, 'clone', '--quiet', '--branch', 'feature', folder.path, '.')
    const { code, stdout, stderr } = await folder.run('--cwd', clone)
    expect(stderr).not.toContain('not a valid ref')
    expect(code).toBe(0)
    expect(stdout.match(/^\S+(?= \| here$)/gm)?.sort()).toEqual(Object.keys(refs).sort())
    const listed = JSON.parse((await folder.run('--cwd', clone, '--list', '--json')).stdout) as { name: string }[]
    expect(listed.map(({ name }) => name).sort()).toEqual(Object.keys(refs).sort())
  } finally {
    rmSync(clone, { recursive: true, force: true })
  }
})

it('leaves out what any ignore file of the user names, and folders with tokens of our own', async () => {
  using folder = new Folder()
  using home = new Folder()
  home.write({ ignored: '*.secret\n', config: '[core]\n\texcludesFile = ~/ignored\n' })
  const user = { HOME: home.path, GIT_CONFIG_GLOBAL: path.join(home.path, 'config') }
  await folder
    .write({
      '.gitlab-ci.yml': { look: { script: ['git ls-files'] } },
      '.gitignore': 'kept.log\n',
      'deep/.gitignore': 'nested.txt\n',
    })
    .commit()
  folder.write({ 'kept.log': 'tracked all the same' })
  await folder.git('add', '--force', 'kept.log')
  folder.write({
    'a.secret': '',
    'deep/nested.txt': '',
    '.git/info/exclude': 'private.txt\n',
    'private.txt': '',
    'signalbox-data/admin-token': 'glpat-secret',
    'deep/signalbox-work/identity': '',
    'new.txt': '',
  })
  const { code, stdout, stderr } = await folder.runWith(user)
  expect(stderr).toContain('success')
  expect(code).toBe(0)
  const taken = [...stdout.matchAll(/^look \| (\S+)$/gm)].map(([, name]) => name)
  expect(new Set(taken)).toEqual(new Set(['.gitignore', '.gitlab-ci.yml', 'deep/.gitignore', 'kept.log', 'new.txt']))
})

it('sees a change of the same length that is as young as its commit', async () => {
  using folder = new Folder()
  await folder.write({ '.gitlab-ci.yml': { look: { script: ['cat word'] } }, word: 'old\n' }).commit()
  const at = new Date('2026-01-01T00:00:00Z')
  const touch = (name: string) => utimesSync(path.join(folder.path, name), at, at)
  touch('word')
  await folder.git('update-index', '--refresh')
  touch('.git/index')
  // What git calls racily clean: https://git-scm.com/docs/racy-git
  folder.write({ word: 'new\n' })
  touch('word')
  expect((await folder.run()).stdout).toContain('look | new\n')
})

it('lists what rules make of a tracked file that is deleted as a run does', async () => {
  using folder = new Folder()
  const rules = [{ exists: ['gone'] }]
  await folder
    .write({ '.gitlab-ci.yml': { kept: { script: 'true' }, lost: { script: 'true', rules } }, gone: '' })
    .commit()
  rmSync(path.join(folder.path, 'gone'))
  expect((await folder.run()).stdout).not.toContain('lost')
  expect((await folder.run('--list')).stdout).not.toContain('lost')
})

it('calls the project what origin calls it', async () => {
  using folder = new Folder()
  await folder.write({ '.gitlab-ci.yml': { look: { script: ['echo "in $CI_PROJECT_PATH"'] } } }).commit()
  await folder.git('remote', 'add', 'origin', 'git@gitlab.example.org:team/sub/app.git')
  expect((await folder.run()).stdout).toContain('look | in team/sub/app\n')
  expect((await folder.run('--project', 'other/one')).stdout).toContain('look | in other/one\n')
  expect((await folder.run('--project', '../one')).code).toBe(2)
})

it('finds a project’s path in the addresses that git takes', () => {
  const found = {
    'https://gitlab.com/group/app.git': 'group/app',
    'https://user:token@host:8443/group/sub/app/': 'group/sub/app',
    'ssh://git@host:2222/group/app.git': 'group/app',
    'git@host:group/app.git': 'group/app',
    '[git@host:2222]:group/app.git': 'group/app',
    'host:group/sub/sub2/app': 'group/sub/sub2/app',
    '/srv/git/app.git': undefined,
    '../app': undefined,
    'file:///srv/git/app.git': undefined,
    'https://host/app.git': undefined,
    'https://host/group/../app.git': undefined,
  }
  expect(Object.fromEntries(Object.keys(found).map((url) => [url, pathOfRemote(url)]))).toEqual(found)
})

it('acts as another event, with variables of a file', async () => {
  using folder = new Folder()
  await folder
    .write({
      '.gitlab-ci.yml': {
        request: {
          script: ['echo "$CI_MERGE_REQUEST_TARGET_BRANCH_NAME $ONE $TWO [$CI_COMMIT_BRANCH]"'],
          rules: [{ if: '$CI_PIPELINE_SOURCE == "merge_request_event"' }],
        },
        nightly: { script: ['echo "at night"'], rules: [{ if: '$CI_PIPELINE_SOURCE == "schedule"' }] },
      },
      'vars.env': '# both\nexport ONE="from file"\nTWO=file\n',
    })
    .commit()
  await folder.git('checkout', '--quiet', '-b', 'topic')
  const request = await folder.run('--source', 'merge_request_event', '--var-file', 'vars.env', '--var', 'TWO=flag')
  expect(request.stdout).toContain('request | main from file flag []\n')
  expect((await folder.run('--source', 'schedule')).stdout).toContain('nightly | at night\n')
  expect((await folder.run('--var-file', 'none.env')).code).toBe(3)
  folder.write({ 'vars.env': 'ONE=1\nno name here\n' })
  expect(await folder.run('--var-file', 'vars.env')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('vars.env:2: expected NAME=VALUE'),
  })
})

it('reads files of variables', () => {
  const text = [
    '\uFEFF# comment\r',
    'PLAIN = value # not this\r',
    'HASH=a#b',
    '  export EMPTY=',
    "SINGLE='as $IS #1' # gone",
    'DOUBLE="one\\ntwo \\"three\\" $REF \\$5"',
    'MANY="first',
    'second"',
    '',
    'LAST=end',
  ].join('\n')
  expect(parseVariableFile(text, 'x')).toEqual([
    { key: 'PLAIN', value: 'value' },
    { key: 'HASH', value: 'a#b' },
    { key: 'EMPTY', value: '' },
    { key: 'SINGLE', value: 'as $IS #1', raw: true },
    { key: 'DOUBLE', value: 'one\ntwo "three" $REF $$5' },
    { key: 'MANY', value: 'first\nsecond' },
    { key: 'LAST', value: 'end' },
  ])
  expect(() => parseVariableFile('A=1\nB="open\n', 'x')).toThrow('x:2: the quote of B is not closed')
  expect(() => parseVariableFile('A=1\n\n1B=2', 'x')).toThrow('x:3: "1B" is not the name of a variable')
  expect(() => parseVariableFile('A="1" 2', 'x')).toThrow('x:1: nothing may follow the closing quote of A')
})
