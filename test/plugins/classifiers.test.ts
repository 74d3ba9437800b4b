import { describe, expect, it } from 'vitest'
import type { Evidence } from '../../src/core/evidence.js'
import { failureReasons, fromRunnerReason } from '../../src/core/failure.js'
import { asVerdict } from '../../src/plugins/answers.js'
import { builtins } from '../../src/plugins/builtin.js'
import exitCode, { judgeExitCode } from '../../src/plugins/classifiers/exit-code/index.js'
import runnerReasons, { judgeReason } from '../../src/plugins/classifiers/runner-reasons/index.js'
import { evidence, PluginBench } from './support/plugins.js'

const given = (over: Partial<Evidence>): Evidence => ({ ...evidence, runnerReason: '', exitCode: null, ...over })

describe('runner-reasons', () => {
  it.each<[Partial<Evidence>, string, string, boolean, RegExp]>([
    [
      { runnerReason: 'runner_system_failure' },
      'runner_system_failure',
      'internal',
      true,
      /the script is not to blame/,
    ],
    [
      { runnerReason: 'runner_system_failure', message: 'Job failed (system failure): failed to pull image "x:1"' },
      'runner_system_failure',
      'image',
      false,
      /could not be pulled.*The runner says: Job failed/,
    ],
    [
      { runnerReason: 'runner_system_failure', message: 'pod was Evicted', exitCode: 137 },
      'runner_system_failure',
      'interrupted',
      true,
      /taken away/,
    ],
    [
      { runnerReason: 'runner_system_failure', message: 'write /x: no space left on device' },
      'runner_system_failure',
      'capacity',
      true,
      /disk of the runner is full/,
    ],
    [{ runnerReason: 'job_execution_timeout' }, 'job_execution_timeout', 'timeout_job', false, /`timeout`/],
    [{ runnerReason: 'runner_configuration_error' }, 'runner_configuration_error', 'config', false, /not set up/],
    [
      { runnerReason: 'runner_external_dependency_failure' },
      'runner_external_dependency_failure',
      'dependency',
      true,
      /outside/,
    ],
    [{ runnerReason: 'runner_interrupted' }, 'runner_interrupted', 'interrupted', true, /was stopped/],
    [{ runnerReason: 'unknown_failure' }, 'unknown_failure', 'unknown', false, /does not know why/],
    [{ runnerReason: 'image_pull_failure' }, 'unknown_failure', 'image', true, /image/],
    [{ runnerReason: 'job_canceled' }, 'unknown_failure', 'canceled', false, /canceled/],
    [{ runnerReason: 'script_failure' }, 'script_failure', 'script', false, /end of the log/],
    [{ runnerReason: 'made_up\n\u001b[31m' }, 'unknown_failure', 'unknown', false, /not known here: "made_up \[31m"/],
    [{ runnerReason: 'ci_quota_exceeded' }, 'unknown_failure', 'unknown', false, /not known here/],
    [{ runnerReason: 'constructor' }, 'unknown_failure', 'unknown', false, /not known here/],
  ])('%j', (over, reason, failureClass, retryable, explanation) => {
    const verdict = judgeReason(given(over))
    expect(verdict).toMatchObject({ reason, class: failureClass, retryable })
    expect(verdict?.explanation).toMatch(explanation)
    expect(asVerdict(verdict)).toEqual(verdict)
  })

  it('leaves a script that failed with an exit code, and silence, to others', () => {
    expect(judgeReason(given({ runnerReason: 'script_failure', exitCode: 1 }))).toBeUndefined()
    expect(judgeReason(given({}))).toBeUndefined()
    expect(judgeReason(given({ exitCode: 1 }))).toBeUndefined()
  })
})

describe('exit-code', () => {
  it.each<[number, string, string, boolean, RegExp]>([
    [1, '', 'script', false, /ended with exit code 1: a command reported an error/],
    [3, '', 'script', false, /ended with exit code 3/],
    [124, '', 'script', false, /timeout/],
    [126, '', 'script', false, /cannot be run.*chmod \+x/],
    [127, '', 'script', false, /a command was not found.*PATH/],
    [127, '$ foo\nbash: line 3: foo: command not found\n', 'script', false, /the command foo was not found/],
    [
      127,
      '/tmp/script: 1: ./bin/tool: not found\r\nCleaning up\n',
      'script',
      false,
      /the command \.\/bin\/tool was not found/,
    ],
    [127, ': not found\nx: $(rm -rf): not found', 'script', false, /a command was not found/],
    [128, '', 'script', false, /git.*fatal:/],
    [130, '', 'script', false, /ended by SIGINT \(exit code 130\)/],
    [134, '', 'script', false, /SIGABRT/],
    [137, '', 'capacity', false, /ended by SIGKILL \(exit code 137\).*memory/],
    [139, '', 'script', false, /SIGSEGV.*crashed/],
    [141, '', 'script', false, /SIGPIPE.*pipefail/],
    [143, '', 'interrupted', true, /SIGTERM.*asked to stop/],
    [200, '', 'script', false, /ended with exit code 200/],
    [255, '', 'script', false, /ssh/],
    [-1, '', 'script', false, /exit code -1/],
    [3221225477, '', 'script', false, /exit code 3221225477/],
  ])('%i %j', (code, traceTail, failureClass, retryable, explanation) => {
    for (const runnerReason of ['', 'script_failure']) {
      const verdict = judgeExitCode(given({ runnerReason, exitCode: code, traceTail }))
      expect(verdict).toMatchObject({ reason: 'script_failure', class: failureClass, retryable })
      expect(verdict?.explanation).toMatch(explanation)
      expect(asVerdict(verdict)).toEqual(verdict)
    }
  })

  it('knows a signal by its name', () => {
    expect(judgeExitCode(given({ signal: 'SIGKILL' }))?.explanation).toMatch(/SIGKILL \(exit code 137\)/)
    expect(judgeExitCode(given({ signal: 'SIGWINCH' }))).toBeUndefined()
  })

  it('has nothing to say where the script did not fail', () => {
    expect(judgeExitCode(given({}))).toBeUndefined()
    expect(judgeExitCode(given({ exitCode: 0 }))).toBeUndefined()
    expect(judgeExitCode(given({ runnerReason: 'runner_system_failure', exitCode: 137 }))).toBeUndefined()
  })

  it('takes no longer for a log made to be slow', () => {
    const traceTail = `${'a: '.repeat(2700)}: not found`.padEnd(8192, ':')
    const startedAt = performance.now()
    for (let i = 0; i < 100; i++) judgeExitCode(given({ exitCode: 127, traceTail }))
    expect((performance.now() - startedAt) / 100).toBeLessThan(5)
  })
})

describe('a transfer while the coordinator was away', () => {
  const log = (stage: string, line: string) =>
    `section_start:1:step_script\r\x1b[0Kok\nsection_end:2:step_script\r\x1b[0K` +
    `section_start:2:${stage}\r\x1b[0K${line}\nsection_end:3:${stage}\r\x1b[0KERROR: Job failed: exit status 1\n`
  const refused =
    'WARNING: Uploading artifacts as "archive" to coordinator... error  error=dial tcp: connection refused'
  const upload = 'upload_artifacts_on_success'
  const judged = (traceTail: string, coordinatorWasAway: boolean) =>
    judgeExitCode(given({ runnerReason: 'script_failure', exitCode: 1, traceTail, coordinatorWasAway }))

  it('is the coordinator’s fault where nobody answered', () => {
    for (const line of [refused, 'ERROR: 502 Bad Gateway', 'unexpected EOF', 'the coordinator does not answer']) {
      expect(judged(log(upload, line), true)).toMatchObject({
        reason: 'script_failure',
        class: 'internal',
        retryable: true,
        explanation: expect.stringContaining('the coordinator was away'),
      })
    }
  })

  it('is not, where it was there, answered, or the script failed', () => {
    for (const verdict of [
      judged(log(upload, refused), false),
      judged(log(upload, 'ERROR: too large'), true),
      judged(`connection refused\n${log(upload, 'ERROR: 413')}`, true),
      judged(log('step_script', 'curl: connection refused'), true),
    ]) {
      expect(verdict?.explanation).not.toContain('was away')
      expect(verdict?.retryable).toBe(false)
    }
  })
})

describe('together', () => {
  it('they give the reason that the core would give without them, for every word a runner could say', async () => {
    await using bench = new PluginBench()
    const plugins = await bench.load([], [runnerReasons, exitCode])
    const words = [...Object.keys(failureReasons), 'image_pull_failure', 'job_canceled', 'toString', 'made_up', '']
    for (const runnerReason of words) {
      for (const code of [null, 0, 1, 137]) {
        const verdict = plugins.classify(given({ runnerReason, exitCode: code }))
        const reason = verdict?.reason ?? fromRunnerReason(runnerReason, code)
        expect([runnerReason, code, reason]).toEqual([runnerReason, code, fromRunnerReason(runnerReason, code)])
      }
    }
    expect(plugins.list()).toMatchObject([{ failures: 0 }, { failures: 0 }])
  })

  it('come in the order of the list of built-ins, which are all set up', async () => {
    await using bench = new PluginBench()
    const plugins = await bench.load([], builtins)
    expect(plugins.list().map(({ id, state, hooks }) => [id, state, hooks])).toEqual([
      ['executor.shell', 'ready', ['executor shell']],
      ['executor.docker', 'ready', ['executor docker']],
      ['executor.custom', 'ready', ['executor custom']],
      ['classifier.runner-reasons', 'ready', ['classifier runner-reasons']],
      ['classifier.exit-code', 'ready', ['classifier exit-code']],
      ['classifier.log-patterns', 'ready', ['classifier log-patterns']],
      ['exporter.prometheus', 'ready', ['exporter prometheus']],
      // Without a configuration they have no rule.
      ['exporter.opentelemetry', 'ready', []],
      ['exporter.webhook', 'ready', []],
      ['exporter.jsonl', 'ready', []],
      ['admission.business-hours', 'ready', []],
      ['admission.max-concurrency', 'ready', []],
    ])
    expect(plugins.executors()).toEqual(['shell', 'docker', 'custom'])
    const facts = { executor: 'shell', platform: 'linux', architecture: 'amd64', features: ['artifacts'] }
    expect(await plugins.capabilitiesOf(facts)).toContain('artifacts')
    expect(plugins.executor('shell')?.runner).toBeDefined()
  })
})
