import fs from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { Harness } from './support/harness.js'
import { isAlive } from './support/processes.js'

test('gives a job the variables that GitLab Runner gives it', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({
    variables: {
      FIRST: '1',
      PATH_IN_PROJECT: '$CI_PROJECT_DIR/reports',
      RAW: { value: `$FIRST and \${FIRST}`, raw: true },
      EXPANDED: `$FIRST-\${FIRST}-$$-$NOBODY-$?`,
      LATE: '$EXPANDED',
      CI_CONCURRENT_ID: '77',
    },
    script: ['env | sort'],
    timeoutSeconds: 90,
  })
  const runner = await harness.runner()
  await job.finished()
  const build = path.join(fs.realpathSync(harness.workDir), 'builds/FakeRunne/0/ops/demo')
  for (const line of [
    'FIRST=1',
    `PATH_IN_PROJECT=${build}/reports`,
    `RAW=$FIRST and \${FIRST}`,
    'EXPANDED=1-1-$--',
    // A value that was put in is not looked at again.
    `LATE=$FIRST-\${FIRST}-$$-$NOBODY-$?`,
    // The payload wins over the runner's own.
    'CI_CONCURRENT_ID=77',
    `CI_PROJECT_DIR=${build}`,
    `CI_BUILDS_DIR=${path.join(fs.realpathSync(harness.workDir), 'builds')}`,
    'CI_CONCURRENT_PROJECT_ID=0',
    'CI_SERVER=yes',
    'CI_JOB_STATUS=running',
    'CI_JOB_TIMEOUT=90',
    'CI_SHARED_ENVIRONMENT=true',
    `RUNNER_TEMP_PROJECT_DIR=${build}.tmp`,
    `PWD=${build}`,
  ]) {
    expect(job.text).toContain(`\n${line}\n`)
  }
  expect(job.text).toMatch(/\nCI_RUNNER_VERSION=\d/)
  expect(job.text).toContain(`system ID: ${runner.handle.systemId}`)
})

test('keeps the secrets of its own environment from a job', async () => {
  process.env.SIGNALBOX_ADMIN_TOKEN = 'the-admin-token'
  process.env.SOME_SECRET = 'some-secret'
  try {
    await using harness = await Harness.start('websocket')
    const job = harness.box.add({ script: ['env', 'cat /proc/$$/environ | tr "\\0" "\\n"'] })
    await harness.runner()
    expect(await job.finished()).toMatchObject({ state: 'success' })
    expect(job.text).not.toMatch(/the-admin-token|some-secret/)
    expect(job.text).toMatch(/\nHOME=/)
  } finally {
    delete process.env.SIGNALBOX_ADMIN_TOKEN
    delete process.env.SOME_SECRET
  }
})

test('writes file variables beside the sources, for the job only, and removes them', async () => {
  await using harness = await Harness.start('websocket')
  const content = 'line 1\nline $FIRST\n'
  const job = harness.box.add({
    variables: {
      KEY_FILE: { value: content, file: true, raw: true },
      FIRST: '1',
      COPY: '$KEY_FILE',
      '../escape': { value: 'no', file: true },
    },
    script: [
      'echo "it is $KEY_FILE"',
      'test "$COPY" = "$KEY_FILE"',
      'stat -c "mode %a" "$KEY_FILE"',
      'cat "$KEY_FILE"',
    ],
    afterScript: ['cat "$KEY_FILE" > ../kept'],
  })
  await harness.runner()
  expect(await job.finished(), job.text).toMatchObject({ state: 'success' })
  const file = /\nit is (.*)/.exec(job.text)?.[1] ?? ''
  expect(file).toMatch(/ops\/demo\.tmp\/KEY_FILE$/)
  expect(job.text).toContain('\nmode 600\n')
  expect(job.text).toContain(content)
  expect(fs.readFileSync(path.join(file, '../../kept'), 'utf8')).toBe(content)
  expect(fs.existsSync(path.dirname(file))).toBe(false)
  expect(fs.existsSync(path.join(path.dirname(file), '../escape'))).toBe(false)
})

test('marks sections where the coordinator can show them', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({ sections: true, afterScript: ['true'] })
  await harness.runner()
  await job.finished()
  const sections = [...job.text.replaceAll('\x1b', 'ESC').matchAll(/section_(start|end):\d+:(\w+)\rESC\[0K/g)].map(
    ([, edge, name]) => `${edge} ${name}`,
  )
  const names = [
    'prepare_executor',
    'prepare_script',
    'get_sources',
    'step_script',
    'after_script',
    'cleanup_file_variables',
  ]
  expect(sections).toEqual(names.flatMap((name) => [`start ${name}`, `end ${name}`]))
  expect(job.text).toContain('\x1b[0K\x1b[36;1mExecuting "step_script" stage of the job script\x1b[0;m\x1b[0;m\n')
})

test('shows each line of a script, and of a long one the first', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({ script: ["echo 'a  b' \\\\n", 'for i in 1 2; do\n  echo "round $i"\ndone', ''] })
  await harness.runner()
  await job.finished()
  expect(job.text).toContain("\x1b[32;1m$ echo 'a  b' \\\\n\x1b[0;m\na  b \\n\n")
  expect(job.text).toContain(
    '\x1b[32;1m$ for i in 1 2; do # collapsed multi-line command\x1b[0;m\nround 1\nround 2\n\n',
  )
})

test('ends at a command that fails within a pipe, and runs all steps in order up to there', async () => {
  await using harness = await Harness.start('websocket')
  const step = (name: string, script: string[]) => ({ name, script })
  const job = harness.box.add({
    extra: {
      steps: [
        step('script', ['echo one']),
        step('Extra', ['echo two', 'false | true', 'echo never']),
        step('release', ['echo never']),
        step('after_script', ['echo after: $CI_JOB_STATUS; exit 5']),
      ],
    },
  })
  await harness.runner()
  expect(await job.finished()).toMatchObject({ state: 'failed', exitCode: 1 })
  expect(job.text).toMatch(/\none\n.*Executing "step_extra" stage.*\ntwo\n.*after: failed\n/s)
  expect(job.text).not.toMatch(/\nnever\n/)
  expect(job.text).toContain('WARNING: after_script failed, but job will continue unaffected: exit code 5')
})

test('lets after_script fail the job where that is wanted, and limits its time', async () => {
  await using harness = await Harness.start('websocket')
  const variables = { AFTER_SCRIPT_IGNORE_ERRORS: 'false' }
  const strict = harness.box.add({ afterScript: ['exit 5'], variables })
  const slow = harness.box.add({ afterScript: ['sleep 1000'], variables: { RUNNER_AFTER_SCRIPT_TIMEOUT: '100ms' } })
  await harness.runner()
  expect(await strict.finished()).toMatchObject({ state: 'failed', exitCode: 5 })
  expect(await slow.finished()).toMatchObject({ state: 'success' })
  expect(slow.text).toContain('it took too long')
})

test('hands what a script leaves in GITLAB_ENV to the scripts after it', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({
    script: ['echo "FOUND=a=b c" >> "$GITLAB_ENV"'],
    afterScript: ['echo "found: $FOUND"'],
  })
  await harness.runner()
  await job.finished()
  expect(job.text).toContain('\nfound: a=b c\n')
})

test('does not wait for what a script leaves running behind it, and ends it', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({ script: ['sleep 1000 & echo "left $!"', '(setsid sleep 1000 &)'] })
  const runner = await harness.runner()
  expect(await job.finished()).toMatchObject({ state: 'success' })
  const { report } = await runner.event('job.finished')
  expect(report.state).toBe('success')
  expect(isAlive(Number(/\nleft (\d+)/.exec(job.text)?.[1]))).toBe(false)
})

test('reports a script that a signal has ended as a shell would', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({ script: ['kill -9 $$'] })
  await harness.runner()
  expect(await job.finished()).toMatchObject({ state: 'failed', exitCode: 137, failureReason: 'script_failure' })
})

test('fails a job whose variables no process can be given', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({ variables: { HUGE: 'x'.repeat(200_000) } })
  await harness.runner()
  expect(await job.finished()).toMatchObject({ state: 'failed', failureReason: 'runner_system_failure' })
  expect(job.text).toContain('larger than this system can hand to a process')
})

test('runs scripts with sh where it is told to', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({ script: [`echo "in \${BASH_VERSION:-no bash}"`, 'exit 4'] })
  await harness.runner({ executor: { name: 'shell', executor: harness.shell({ shell: 'sh' }) } })
  expect(await job.finished()).toMatchObject({ state: 'failed', exitCode: 4 })
  expect(job.text).toContain('Using Shell (sh) executor...')
})

test('cleans up after jobs that leave folders which nobody may write to', async () => {
  await using harness = await Harness.start('websocket')
  const script = ['mkdir -p "$RUNNER_TEMP_PROJECT_DIR/a/b"', 'touch "$RUNNER_TEMP_PROJECT_DIR/a/b/c"']
  const job = harness.box.add({ script: [...script, 'chmod -R a-w "$RUNNER_TEMP_PROJECT_DIR/a"', 'pwd'] })
  await harness.runner()
  expect(await job.finished()).toMatchObject({ state: 'success' })
  const build = /^\/.*demo$/m.exec(job.text)?.[0] ?? ''
  expect(fs.existsSync(build)).toBe(true)
  expect(fs.existsSync(`${build}.tmp`)).toBe(false)
})

test('warns of settings that cannot be', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({
    variables: { GIT_CHECKOUT: 'perhaps', GET_SOURCES_ATTEMPTS: '99', RUNNER_SCRIPT_TIMEOUT: 'soon' },
  })
  await harness.runner()
  expect(await job.finished()).toMatchObject({ state: 'success' })
  expect(job.text).toContain('GET_SOURCES_ATTEMPTS: 99 is out of the range 1 to 10, using 10')
  expect(job.text).toContain('ignoring malformed RUNNER_SCRIPT_TIMEOUT timeout: soon')
})

test('leaves the coordinator the facts about where a job runs', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add()
  await harness.runner()
  await job.finished()
  expect(job.facts).toMatchObject({ executor: 'shell', shell: 'bash' })
})
