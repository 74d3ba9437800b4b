/** The chain of classifiers: the order that the configuration gives, and the verdict that is sure enough. */
import { expect, it } from 'vitest'
import { builtins } from '../../src/plugins/builtin.js'
import { definePlugin, type Verdict } from '../../src/plugins/sdk.js'
import { evidence, PluginBench } from './support/plugins.js'

const saying = (id: string, over: Partial<Verdict>) =>
  definePlugin({
    id: `classifier.${id}`,
    apiVersion: 1,
    setup(host) {
      const verdict = { reason: 'script_failure', class: 'script', retryable: false, explanation: id, ...over } as const
      host.classify(id, () => verdict)
      return undefined
    },
  })

it('takes the first verdict that is sure enough, and without one the surest', async () => {
  await using bench = new PluginBench()
  const given = [saying('low', { confidence: 0.2 }), saying('middle', { confidence: 0.5 }), saying('sure', {})]
  const by = async (chain?: { order: string[]; threshold: number }, ids = given) => {
    const plugins = await bench.load([], ids, chain ? { chain } : {})
    return plugins.classify(evidence)?.by
  }
  expect(await by()).toBe('classifier.middle')
  expect(await by({ order: [], threshold: 0.6 })).toBe('classifier.sure')
  expect(await by({ order: ['classifier.sure', 'classifier.none'], threshold: 0 })).toBe('classifier.sure')
  expect(await by({ order: [], threshold: 0.9 }, given.slice(0, 2))).toBe('classifier.middle')
})

it('asks the log where the exit code and the runner say little', async () => {
  await using bench = new PluginBench()
  const plugins = await bench.load([], builtins)
  const judged = (over: object) => plugins.classify({ ...evidence, ...over })
  const full = 'write /tmp/x: no space left on device\n'
  expect(judged({ exitCode: 1, traceTail: `$ make\n${full}` })).toEqual({
    reason: 'script_failure',
    class: 'capacity',
    retryable: true,
    confidence: 0.97,
    explanation: 'A disk is full: the runner’s, or one that the job writes to.',
    lines: ['write /tmp/x: no space left on device'],
    rule: 'disk_full',
    by: 'classifier.log-patterns (disk_full)',
  })
  // The reason stays the runner's.
  const system = {
    runnerReason: 'runner_system_failure',
    exitCode: null,
    message: 'prepare: context deadline exceeded',
  }
  expect(judged(system)).toMatchObject({ reason: 'runner_system_failure', class: 'dependency', rule: 'network' })
  expect(judged({ exitCode: 1, traceTail: '$ make\nnothing known\n' })).toMatchObject({ by: 'classifier.exit-code' })
  expect(judged({ exitCode: 127, traceTail: `$ make\n${full}sh: 1: foo: not found\n` })).toMatchObject({
    by: 'classifier.exit-code',
    lines: ['sh: 1: foo: not found'],
  })
  expect(judged({ runnerReason: 'job_execution_timeout', exitCode: null, traceTail: full })).toMatchObject({
    class: 'timeout_job',
  })
})
