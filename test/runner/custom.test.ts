/** The custom executor with drivers as they are written for GitLab Runner's. */
import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkDefinition, configOf } from '../../src/plugins/definition.js'
import { CustomRunner } from '../../src/plugins/executors/custom/custom-runner.js'
import custom from '../../src/plugins/executors/custom/index.js'
import type { PrepareInput } from '../../src/plugins/sdk.js'
import { eventually } from '../support/eventually.js'
import { noOutput, prepareInput } from '../support/prepare-input.js'
import { Harness } from './support/harness.js'

/** Runs the script in an environment that has nothing but what the script says itself, and passes its exit code on. */
const runExec = `env -i PATH="$PATH" bash "$2"
code=$?
echo "$3" >> stages
[ "$code" = 0 ] && exit 0
echo "$code" > "$BUILD_EXIT_CODE_FILE"
exit "$BUILD_FAILURE_EXIT_CODE"`

describe('the custom executor', () => {
  it('has its driver make ready, run every script, and clean up', async () => {
    await using bench = await Bench.start({
      config:
        'echo \'{"driver":{"name":"cage","version":"v1"},"job_env":{"KEPT":"here"},"builds_dir":"/x"}\'; echo hm >&2',
      prepare:
        'echo "prepared $1 for $CUSTOM_ENV_GREETING, $KEPT"; env | grep -c "^SIGNALBOX_"; cat "$JOB_RESPONSE_FILE" > job.json',
      run: runExec,
      cleanup: 'cp stages job.json "$1"',
    })
    const job = bench.harness.box.add({
      variables: { GREETING: "it's $HOME", NOTE: { value: 'in a file', file: true } },
      script: ['echo "$GREETING; $(cat "$NOTE")"; pwd', 'exit 7'],
      afterScript: ['echo "after $CI_JOB_STATUS"'],
      extra: { services: [{ name: 'redis:7', alias: 'db' }] },
    })
    expect(await job.finished()).toMatchObject({ state: 'failed', exitCode: 7, failureReason: 'script_failure' })
    expect(job.text).toContain(`prepared ${bench.folder} for it's`)
    for (const text of [
      ', here\n0\n',
      '\nhm\n',
      'Using the driver cage v1',
      '; in a file\n',
      'after failed',
      'builds_dir of',
    ])
      expect(job.text).toContain(text)
    expect(job.facts).toMatchObject({ executor: 'custom', driver: 'cage v1' })
    await eventually(() => expect(fs.existsSync(path.join(bench.folder, 'job.json'))).toBe(true))
    expect(fs.readFileSync(path.join(bench.folder, 'stages'), 'utf8')).toBe('build_script\nafter_script\n')
    expect(JSON.parse(fs.readFileSync(path.join(bench.folder, 'job.json'), 'utf8'))).toMatchObject({
      services: [{ name: 'redis:7', alias: 'db', entrypoint: null }],
    })
  })

  it('ends a job that is canceled, with all that its driver has started', async () => {
    await using bench = await Bench.start({ run: runExec })
    const mark = path.join(bench.folder, 'running')
    const job = bench.harness.box.add({ script: [`echo $$ > ${mark}.new; mv ${mark}.new ${mark}; sleep 1000 & wait`] })
    await eventually(() => expect(fs.existsSync(mark)).toBe(true))
    bench.harness.box.cancel(job, 'force')
    expect(await job.finished()).toMatchObject({ state: 'failed' })
    const pid = fs.readFileSync(mark, 'utf8').trim()
    await eventually(() => expect(stateOf(pid)).toBe('gone'))
  })

  it.each([
    ['exit "$SYSTEM_FAILURE_EXIT_CODE"', 'the driver reports a system failure'],
    ['exit 9', 'unknown Custom executor executable exit code 9'],
    ['echo nine > "$BUILD_EXIT_CODE_FILE"; exit 1', 'unknown Custom executor executable exit code: "nine"'],
  ])('fails the job as the system’s for a driver that ends with %s', async (run, message) => {
    await using bench = await Bench.start({ run })
    const job = bench.harness.box.add({ script: ['true'] })
    expect(await job.finished()).toMatchObject({ failureReason: 'runner_system_failure' })
    expect(job.text).toContain(message)
  })

  it('tries three times to make ready, but not what the driver calls the job’s fault', async () => {
    await using bench = await Bench.start({})
    const count = () => fs.readFileSync(path.join(bench.folder, 'tries'), 'utf8').length
    const attempt = async (prepare: string, config = 'true') => {
      fs.writeFileSync(path.join(bench.folder, 'tries'), '')
      const options = bench.options({ run: 'true', config, prepare: `printf x >> "$1/tries"; ${prepare}` })
      const runner = new CustomRunner(options, process.env, silent, { attempts: 3, pauseMs: 0 })
      const said = await runner.prepare(sessionIn(bench.folder), noOutput).catch((error: Error) => error.message)
      await runner.close()
      return [said, count()]
    }
    expect(await attempt('exit 2')).toEqual(['the driver reports a system failure', 3])
    expect(await attempt('[ -s "$1/tries" ] && grep -q xx "$1/tries" || exit 2')).toMatchObject([{ shell: 'bash' }, 2])
    expect(await attempt('sleep 0', 'yes')).toEqual(['config_exec prints more than a configuration', 0])
    expect(await attempt('exit 1')).toMatchObject([{ failure: { reason: 'runner_configuration_error' } }, 1])
  })

  it('wants its table right, and something to run', async () => {
    expect(() => configOf(checked, { run_exec: 7, prepare_exce: 'x' })).toThrow(/prepare_exce": unknown key/)
    const runner = new CustomRunner(configOf(checked, {}) as never, {}, silent)
    expect(await runner.prepare(sessionIn('/'), noOutput)).toMatchObject({
      failure: { message: expect.stringContaining('run_exec') },
    })
  })
})

const checked = checkDefinition(custom).definition
const silent = { debug: () => undefined, warn: () => undefined }
const sessionIn = (folder: string): PrepareInput => prepareInput('1-1-x', { build: folder, temp: folder })

/** `gone` too for one that only waits for its parent. */
function stateOf(pid: string): string {
  try {
    return /\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, 'latin1')) ? 'gone' : 'there'
  } catch {
    return 'gone'
  }
}

class Bench {
  private constructor(
    readonly harness: Harness,
    /** The first argument of every program. */
    readonly folder: string,
  ) {}

  static async start(scripts: Record<string, string>): Promise<Bench> {
    const harness = await Harness.start('websocket')
    const folder = harness.file('driver')
    fs.mkdirSync(folder)
    const bench = new Bench(harness, folder)
    const runner = new CustomRunner(bench.options(scripts), process.env, silent, { attempts: 2, pauseMs: 0 })
    harness.onClose(() => runner.close())
    const executor = { capabilities: () => ['variables', 'shared', 'services'], runner }
    if (scripts.run !== undefined) await harness.runner({ executor: { name: 'custom', executor } })
    return bench
  }

  /** The settings of a driver of these scripts. */
  options(scripts: Record<string, string>) {
    const given = Object.entries(scripts).flatMap(([name, text]) => {
      const file = path.join(this.folder, name)
      fs.writeFileSync(file, `#!/bin/bash\n${text}\n`, { mode: 0o755 })
      return [
        [`${name}_exec`, file],
        [`${name}_args`, [this.folder]],
      ]
    })
    return configOf(checked, Object.fromEntries(given)) as never
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.harness[Symbol.asyncDispose]()
  }
}
