/** `signalbox run` as a person types it, in repositories of all sorts. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { git, program, signalbox } from '../support/processes.js'
import { Folder } from '../support/run-folder.js'

it('runs the pipeline and shows what its scripts say', async () => {
  using folder = new Folder()
  await folder
    .write({
      '.gitlab-ci.yml': {
        stages: ['build', 'test'],
        compile: { stage: 'build', script: ['mkdir out', 'echo made > out/it'], artifacts: { paths: ['out/'] } },
        unit: { stage: 'test', script: ['cat out/it', 'echo "on $CI_COMMIT_BRANCH of $CI_PROJECT_NAME"'] },
        show: {
          stage: 'test',
          script: ['echo "at $CI_ENVIRONMENT_URL"'],
          environment: { name: 'review/$KIND', url: 'http://$CI_ENVIRONMENT_SLUG.test/$KIND' },
          rules: [{ variables: { KIND: 'one' } }],
        },
      },
    })
    .commit()
  const { code, stdout, stderr } = await folder.run()
  expect(stderr).toContain('pipeline ✓ success')
  expect(code).toBe(0)
  expect(stdout).toContain('unit | made\n')
  expect(stdout).toContain(`unit | on main of ${path.basename(folder.path)}\n`)
  expect(stdout).toMatch(/show \| at http:\/\/review-one\S*\.test\/one\n/)
})

it('follows the pipeline with its exit code', async () => {
  using folder = new Folder()
  await folder.write({ '.gitlab-ci.yml': { bad: { script: ['echo before', 'exit 7'] } } }).commit()
  const { code, stdout, stderr } = await folder.run()
  expect(code).toBe(1)
  expect(stdout).toContain('bad | ERROR: Job failed: exit code 7')
  expect(stderr).toContain('✗ failed bad')
})

it('takes changed and untracked files, leaves ignored ones out, and writes nothing to the repository', async () => {
  using folder = new Folder()
  await folder
    .write({
      '.gitignore': 'secret.txt\n',
      'tracked.txt': 'old\n',
      '.gitlab-ci.yml': {
        look: { script: ['cat tracked.txt new.txt', 'test ! -e secret.txt', 'git status --porcelain'] },
      },
    })
    .commit()
  folder.write({ 'tracked.txt': 'changed\n', 'new.txt': 'untracked\n', 'secret.txt': 'no\n' })
  const before = folder.repository()
  const status = await git(folder.path, 'status', '--porcelain')
  const { code, stdout } = await folder.run()
  expect(code).toBe(0)
  expect(stdout).toContain('look | changed\nlook | untracked\n')
  expect(await git(folder.path, 'status', '--porcelain')).toBe(status)
  // `git status` may refresh the index; nothing else has changed, and no object or ref was added.
  const { index: _, ...after } = folder.repository()
  const { index: __, ...first } = before
  expect(after).toEqual(first)
})

it('runs a clean tree as HEAD itself', async () => {
  using folder = new Folder()
  await folder
    .write({ '.gitlab-ci.yml': { sha: { script: ['echo "at $CI_COMMIT_SHA"', 'git rev-parse HEAD'] } } })
    .commit()
  const head = (await git(folder.path, 'rev-parse', 'HEAD')).trim()
  const { stdout } = await folder.run()
  expect(stdout).toContain(`sha | at ${head}\n`)
  expect(stdout).toContain(`sha | ${head}\n`)
})

it('runs in a folder without git, and from below a repository’s top', async () => {
  using plain = new Folder()
  plain.write({ '.gitlab-ci.yml': { j: { script: 'cat file.txt' } }, 'file.txt': 'no git here\n' })
  expect(await plain.run()).toMatchObject({ code: 0, stdout: expect.stringContaining('j | no git here\n') })
  expect(existsSync(path.join(plain.path, '.git'))).toBe(false)

  using folder = new Folder()
  await folder.write({ '.gitlab-ci.yml': { j: { script: 'ls' } }, 'deep/er/file.txt': '' }).commit()
  expect(await folder.run('--cwd', 'deep/er')).toMatchObject({ code: 0, stdout: expect.stringContaining('j | deep\n') })
})

it('runs the named jobs and what they need, and manual ones only when they are named', async () => {
  using folder = new Folder()
  await folder
    .write({
      '.gitlab-ci.yml': {
        stages: ['a', 'b'],
        base: { stage: 'a', script: 'echo base' },
        other: { stage: 'a', script: 'echo other' },
        top: { stage: 'b', script: 'echo top', needs: ['base'] },
        deploy: { stage: 'b', script: 'echo deployed', when: 'manual', needs: [] },
      },
    })
    .commit()
  const top = await folder.run('top')
  expect(top.code).toBe(0)
  expect(top.stdout).toContain('base | base\n')
  expect(top.stdout).toContain('top | top\n')
  expect(top.stdout).not.toContain('other')
  const all = await folder.run()
  expect(all).toMatchObject({ code: 0 })
  expect(all.stdout).not.toContain('deployed')
  const manual = await folder.run('deploy')
  expect(manual).toMatchObject({ code: 0, stdout: expect.stringContaining('deploy | deployed\n') })
})

it('hands over variables, matches any tag, and unpacks what jobs keep', async () => {
  using folder = new Folder()
  await folder
    .write({
      '.gitlab-ci.yml': {
        j: {
          tags: ['gpu', 'linux'],
          script: 'mkdir out; echo "$GREETING" > out/said',
          artifacts: { paths: ['out/said'] },
        },
      },
    })
    .commit()
  const { code } = await folder.run('--var', 'GREETING=hello = you', '--artifacts', 'kept')
  expect(code).toBe(0)
  expect(readFileSync(path.join(folder.path, 'kept/j/out/said'), 'utf8')).toBe('hello = you\n')
})

it('prints one JSON document', async () => {
  using folder = new Folder()
  await folder.write({ '.gitlab-ci.yml': { j: { script: 'echo hi' } } }).commit()
  const { code, stdout } = await folder.run('--json')
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ status: 'success', ref: 'main', jobs: [{ name: 'j', status: 'success' }] })
})

it('lists the jobs in pipeline order and runs nothing', async () => {
  using folder = new Folder()
  await folder
    .write({
      '.gitlab-ci.yml': {
        stages: ['a', 'b'],
        last: { stage: 'b', script: 'touch ran', needs: ['first'] },
        first: { stage: 'a', script: 'touch ran' },
        perhaps: { stage: 'b', script: 'touch ran', when: 'manual' },
        never: { stage: 'b', script: 'x', rules: [{ if: '$CI_COMMIT_BRANCH == "other"' }] },
      },
    })
    .commit()
  const { code, stdout } = await folder.run('--list', '--json')
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toEqual([
    { name: 'first', stage: 'a', when: 'on_success', allow_failure: false },
    {
      name: 'last',
      stage: 'b',
      when: 'on_success',
      allow_failure: false,
      needs: [{ job: 'first', artifacts: true, optional: false }],
    },
    { name: 'perhaps', stage: 'b', when: 'manual', allow_failure: true },
  ])
  expect((await folder.run('--list')).stdout.split('\n')[0]).toMatch(/^a {2}first/)
  expect(existsSync(path.join(folder.path, 'ran'))).toBe(false)
})

it.each([
  ['a job that is not there', 3, { ok: { script: 'x' } }, ['nope'], 'nope'],
  [
    'a job that rules leave out',
    3,
    { ok: { script: 'x' }, no: { script: 'x', rules: [{ if: '$NO' }] } },
    ['no'],
    '$NO',
  ],
  ['a configuration that is wrong', 1, { bad: { scrip: 'x' } }, [], 'bad'],
  ['rules that leave no job', 1, { no: { script: 'x', only: ['tags'] } }, [], 'no job to run'],
  ['a variable without a name', 2, { ok: { script: 'x' } }, ['--var', '=x'], '--var'],
  ['a file that is not there', 3, {}, ['--file', 'no.yml'], 'no.yml'],
])('says the reason for %s and ends with %d, as a list does', async (_, code, config, args, reason) => {
  using folder = new Folder()
  await folder.write({ '.gitlab-ci.yml': config }).commit()
  for (const more of [[], ['--list']]) {
    expect(await folder.run(...more, ...args)).toMatchObject({ code, stderr: expect.stringContaining(reason) })
  }
})

it('ends with 3 where there is no configuration, as lint does', async () => {
  using folder = new Folder()
  expect(await folder.run()).toMatchObject({ code: 3, stderr: expect.stringContaining('.gitlab-ci.yml') })
  expect(await signalbox(['lint'], { cwd: folder.path })).toMatchObject({ code: 3 })
})

it('ends with 141 and leaves nothing running when whoever reads it has gone', async () => {
  using folder = new Folder()
  const mark = path.join(folder.path, 'begun')
  const script = [`echo $$ > "${mark}"`, 'while true; do echo more; sleep 0.1; done']
  await folder.write({ '.gitlab-ci.yml': { talk: { script } } }).commit()
  const child = spawn(process.execPath, [program, 'run'], { cwd: folder.path, stdio: ['ignore', 'pipe', 'ignore'] })
  const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)))
  await new Promise<void>((resolve) =>
    child.stdout.on('data', (text: Buffer) => {
      if (text.includes('more')) resolve()
    }),
  )
  child.stdout.destroy()
  expect(await ended).toBe(141)
  const shell = Number(readFileSync(mark, 'utf8'))
  await eventually(() => expect(runs(shell)).toBe(false))
})

it('cancels on an interrupt and leaves nothing running', async () => {
  using folder = new Folder()
  const mark = path.join(folder.path, 'begun')
  await folder.write({ '.gitlab-ci.yml': { slow: { script: [`echo $$ > "${mark}"`, 'sleep 600'] } } }).commit()
  const child = spawn(process.execPath, [program, 'run'], { cwd: folder.path, stdio: 'ignore' })
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  while (!existsSync(mark) || readFileSync(mark, 'utf8') === '') await new Promise((resolve) => setImmediate(resolve))
  const shell = Number(readFileSync(mark, 'utf8'))
  child.kill('SIGINT')
  expect(await ended).toBe(130)
  expect(() => process.kill(shell, 0)).toThrow(/ESRCH/)
})

it.each([
  ['a second interrupt', ['SIGINT', 'SIGINT'], 130],
  ['the end of its terminal', ['SIGHUP'], 'SIGHUP'],
  ['SIGQUIT', ['SIGQUIT'], 'SIGQUIT'],
] as const)('leaves nothing behind at %s', async (_, signals, end) => {
  using folder = new Folder()
  const mark = path.join(folder.path, 'begun')
  const temporary = path.join(folder.path, 'tmp')
  mkdirSync(temporary)
  const script = [`trap "" TERM; echo $$ > "${mark}"; while :; do sleep 1; done`]
  await folder.write({ '.gitignore': 'tmp\n', '.gitlab-ci.yml': { stubborn: { script } } }).commit()
  const env = { ...process.env, TMPDIR: temporary }
  const child = spawn(process.execPath, [program, 'run'], {
    cwd: folder.path,
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)))
  while (!existsSync(mark) || readFileSync(mark, 'utf8') === '') await new Promise((resolve) => setImmediate(resolve))
  const shell = Number(readFileSync(mark, 'utf8'))
  const asked = new Promise<void>((resolve) => {
    let said = ''
    child.stderr.on('data', (chunk) => {
      said += String(chunk)
      if (said.includes('once more to leave')) resolve()
    })
  })
  for (const [i, signal] of signals.entries()) {
    if (i > 0) await asked
    child.kill(signal)
  }
  expect(await ended).toBe(end)
  while (runs(shell)) await new Promise((resolve) => setImmediate(resolve))
  expect(readdirSync(temporary)).toEqual([])
})

/** Whether the process runs: one that only waits for its parent does not. */
function runs(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return process.platform !== 'linux' || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return false
  }
}

it('runs nothing when the folder for artifacts cannot be', async () => {
  using folder = new Folder()
  await folder.write({ '.gitlab-ci.yml': { look: { script: 'true' } } }).commit()
  const { code, stdout, stderr } = await folder.run('--artifacts', '.gitlab-ci.yml')
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain('--artifacts')
})

it('fails a job whose secrets nobody here can fetch, and says so', async () => {
  using folder = new Folder()
  const secret = { secrets: { KEY: { vault: 'a/b' } }, script: 'x' }
  await folder.write({ '.gitlab-ci.yml': { fetch: secret } }).commit()
  const { code, stdout } = await folder.run('--var', 'VAULT_SERVER_URL=https://vault.example')
  expect(code).toBe(1)
  expect(stdout).toContain('secrets from a provider are not supported by this runner: KEY')
})

it('runs a child pipeline that a job has written, with what that job has kept', async () => {
  using folder = new Folder()
  const child =
    'made: {script: [grep kept out.txt], artifacts: {paths: [out.txt]}, needs: [{pipeline: $PARENT, job: make}]}'
  await folder
    .write({
      'child.yml': child,
      '.gitlab-ci.yml': {
        make: {
          stage: 'build',
          script: ['mv child.yml generated.yml', 'echo kept > out.txt'],
          artifacts: { paths: ['generated.yml', 'out.txt'] },
        },
        child: {
          variables: { PARENT: '$CI_PIPELINE_ID' },
          trigger: { include: [{ artifact: 'generated.yml', job: 'make' }], strategy: 'depend' },
        },
      },
    })
    .commit()
  const { code, stderr } = await folder.run('--artifacts', 'out')
  expect(stderr).toMatch(/success child/)
  expect(code, stderr).toBe(0)
  expect(readFileSync(path.join(folder.path, 'out/child_made/out.txt'), 'utf8')).toBe('kept\n')
})
