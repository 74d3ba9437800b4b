/** What `signalbox run` shows: on terminals of several sizes, of child pipelines, of failures, at its end. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { ScriptOutput } from '../../src/cli/log-text.js'
import { judgeExitCode } from '../../src/plugins/classifiers/exit-code/index.js'
import { program } from '../support/processes.js'
import { Folder } from '../support/run-folder.js'

const terminal = fileURLToPath(new URL('../support/terminal-run.py', import.meta.url))

/** The screen and what has scrolled off it, after a run in a terminal. */
function onTerminal(folder: Folder, rows: number, columns: number, ...args: string[]): Promise<string> {
  const { CI: _, NO_COLOR: __, ...env } = process.env
  return new Promise((resolve) => {
    execFile(
      'python3',
      [terminal, String(rows), String(columns), process.execPath, program, 'run', ...args],
      { cwd: folder.path, env: { ...env, TERM: 'xterm' } },
      (_error, stdout) => resolve(stdout),
    )
  })
}

it('draws each state of a long pipeline in place on a small terminal, and the end once', async () => {
  using folder = new Folder()
  const jobs = Array.from({ length: 14 }, (_, i) => [`job-${i}`, { stage: i % 2 ? 'a' : 'b', script: ['true'] }])
  await folder
    .write({
      '.gitlab-ci.yml': {
        stages: ['a', 'b'],
        ...Object.fromEntries(jobs),
        wrong: { stage: 'b', script: ['echo 日本語の長い行 && exit 3'] },
      },
    })
    .commit()
  const screen = await onTerminal(folder, 9, 40)
  const counted = (text: string) => screen.split(text).length - 1
  expect(counted('pipeline 1 ')).toBe(1)
  expect(counted('15 jobs: 14 success, 1 failed')).toBe(1)
  // Once as it came, once in the report.
  expect(counted('日本語の長い行\n')).toBe(2)
  expect(screen).toContain('pipeline ✗ failed\nagain, with what they need: signalbox ru')
})

it('shows child pipelines under their trigger, runs them to their end, and says what failed unnoticed', async () => {
  using folder = new Folder()
  await folder
    .write({
      '.gitlab-ci.yml': {
        followed: { trigger: { include: 'good.yml', strategy: 'depend' } },
        detached: { trigger: { include: 'bad.yml' } },
      },
      'good.yml': { fine: { tags: ['only-here'], script: ['echo from the child'] } },
      'bad.yml': { nested: { trigger: { include: 'good.yml', strategy: 'depend' } }, wrong: { script: ['exit 9'] } },
    })
    .commit()
  const { code, stdout, stderr } = await folder.run()
  expect(code).toBe(0)
  expect(stdout).toContain('followed › fine | from the child\n')
  expect(stdout).toContain('detached › nested › fine | from the child\n')
  expect(stderr).toContain('the child pipeline of detached failed')
  expect(stderr).toContain('pipeline ✓ success')

  const document = JSON.parse((await folder.run('--json')).stdout)
  const detached = document.jobs.find((job: { name: string }) => job.name === 'detached')
  expect(detached).toMatchObject({ status: 'success', downstream_pipeline: { status: 'failed' } })
  expect(detached.downstream_pipeline.jobs).toContainEqual(expect.objectContaining({ name: 'wrong', status: 'failed' }))
})

it('ends where a followed child pipeline waits for a person', async () => {
  using folder = new Folder()
  await folder
    .write({
      '.gitlab-ci.yml': { ask: { trigger: { include: 'child.yml', strategy: 'depend' } } },
      'child.yml': { gate: { script: ['true'], when: 'manual', allow_failure: false } },
    })
    .commit()
  const { code, stderr } = await folder.run()
  expect(code).toBe(0)
  expect(stderr).toContain('ask › gate waits for a person, and jobs of child pipelines cannot be started here\n')
})

it('waits for a delayed job behind a manual one, and fails with it', async () => {
  using folder = new Folder()
  await folder
    .write({
      '.gitlab-ci.yml': {
        gate: { stage: 'build', script: ['true'], when: 'manual', allow_failure: false },
        later: { stage: 'build', script: ['echo late; exit 3'], when: 'delayed', start_in: '1 second' },
        last: { stage: 'test', script: ['true'] },
      },
    })
    .commit()
  const { code, stdout } = await folder.run()
  expect(stdout).toContain('later | late\n')
  expect(code).toBe(1)
})

it('runs what a job takes from with it, or the job alone', async () => {
  using folder = new Folder()
  await folder
    .write({
      '.gitlab-ci.yml': {
        stages: ['a', 'b', 'c'],
        one: { stage: 'a', script: ['echo 1 > one'], artifacts: { paths: ['one'] } },
        other: { stage: 'a', script: ['true'] },
        gate: { stage: 'a', script: ['true'], when: 'manual', allow_failure: false },
        two: { stage: 'b', script: ['cat one'], dependencies: ['one'] },
        three: { stage: 'c', script: ['true'] },
        four: { stage: 'c', script: ['true'], needs: ['two'] },
      },
    })
    .commit()
  const names = async (...args: string[]) =>
    (JSON.parse((await folder.run('--list', '--json', ...args)).stdout) as { name: string }[]).map(({ name }) => name)
  expect(await names('two')).toEqual(['one', 'two'])
  expect(await names('three')).toEqual(['one', 'other', 'two', 'three'])
  expect(await names('four')).toEqual(['one', 'two', 'four'])
  expect(await names('four', '--only')).toEqual(['four'])
  expect((await folder.run('two')).code).toBe(0)
  expect((await folder.run('--only')).code).toBe(2)
})

it('says nothing but the end when it is to be quiet, and when lines came when it is to say that', async () => {
  using folder = new Folder()
  await folder.write({ '.gitlab-ci.yml': { a: { script: ["printf 'no line end'; exit 4"] } } }).commit()
  const quiet = await folder.run('--quiet')
  expect(quiet.stdout).toBe('')
  expect(quiet.stderr).toMatch(/✗ failed a .*exit code 4/)
  expect(quiet.stderr).toContain('  | no line end\n')
  expect(quiet.stderr).not.toContain('running')
  const timed = await folder.run('--timestamps')
  expect(timed.stdout).toMatch(/^\d\d:\d\d:\d\d\.\d{3} a \| no line end$/m)
})

const mark = (edge: string, name: string) => `section_${edge}:1:${name}\r\u001b[0K`

it('shows the last line of a script that ends none, and what a job without a script failed of in its order', () => {
  const script = new ScriptOutput()
  const shown = [
    `${mark('start', 'step_script')}Executing\n`,
    `no end${mark('end', 'step_script')}\n`,
    `${mark('start', 'cleanup_file_variables')}Cleaning\n`,
    'ERROR: Job failed\n',
  ].map((line) => script.push(line))
  expect(shown).toEqual(['', 'no end\n', '', 'ERROR: Job failed\n'])
  expect(script.end(true)).toBe('')

  const none = new ScriptOutput()
  expect(none.push(`${mark('start', 'get_sources')}Getting\nfatal: no\nERROR: Job failed\n`)).toBe('')
  expect(none.end(true)).toContain('fatal: no\nERROR: Job failed\n')
})

it('tells what failed around the script', () => {
  const judge = (...lines: string[]) =>
    judgeExitCode({ runnerReason: 'script_failure', exitCode: 1, signal: null, traceTail: lines.join('\n') } as never)
      ?.explanation
  const script = [mark('start', 'step_script'), mark('end', 'step_script')]
  const failed = '\u001b[31;1mERROR: Job failed: exit code 1\u001b[0;m'
  expect(judge(mark('start', 'get_sources'), 'fatal: not there', failed)).toBe('Getting the sources failed: not there')
  expect(judge(...script, mark('start', 'upload_artifacts_on_success'), 'WARNING: Bad Request', failed)).toBe(
    'Uploading the artifacts failed: Bad Request',
  )
  expect(judge(mark('start', 'get_sources'), ...script, 'fatal: mine', failed)).toContain('The script ended')
  expect(judge(failed)).toContain('The script ended')
})
