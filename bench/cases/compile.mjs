// Compiling a file of 1,000 jobs with includes, extends and rules: in this thread, and as a server does it, in a thread,
// where the loop must go on; then what a pipeline of it costs when it is compiled, and how many expressions that decides.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { nowUs, repeat, scaled } from '../lib.mjs'
import { bigConfig, bigConfigInFiles, manyRules } from '../product/big-config.mjs'

const jobs = scaled(1000, 50)
const context = {
  source: 'push',
  ref: 'main',
  tag: false,
  protected: true,
  defaultBranch: 'main',
  variables: [{ key: 'CI_COMMIT_BRANCH', value: 'main' }],
  strongFrom: 1,
}

export async function* measure() {
  const { compileConfig } = await import('../../dist/core/ci-config/compile.js')
  const { LanguagePool } = await import('../../dist/core/ci-config/language-pool.js')
  const { planPipeline } = await import('../../dist/core/ci-config/plan-pipeline.js')
  const { source, files } = bigConfigInFiles(jobs)
  const options = {
    fetchInclude: async ({ path }) => ({ ok: true, content: files[path] }),
    listFiles: async () => Object.keys(files),
  }
  const timed = async (compile, text = source) => {
    const started = nowUs()
    const result = await compile(text, options)
    if (!result.ok) throw new Error(result.errors[0].message)
    return { took: (nowUs() - started) / 1000, config: result.config }
  }
  await timed(compileConfig)
  yield {
    figure: 'compile a .gitlab-ci.yml of 1,000 jobs',
    unit: 'ms',
    ours: await repeat(async () => (await timed(compileConfig, bigConfig(jobs))).took),
    bar: 300,
    stretch: 100,
  }

  const pool = new LanguagePool()
  const inThread = (text) => pool.compile(text, options, 'bench')
  await timed(inThread)
  const blocks = []
  yield {
    figure: 'compile 1,000 jobs in five files, in a thread',
    unit: 'ms',
    ours: await repeat(async () => {
      const delay = monitorEventLoopDelay({ resolution: 1 })
      delay.enable()
      const { took } = await timed(inThread)
      delay.disable()
      blocks.push(delay.max / 1e6)
      return took
    }),
    bar: 300,
    stretch: 100,
  }
  await pool.close()
  yield {
    figure: 'longest block of the loop meanwhile',
    unit: 'ms',
    ours: await repeat((i) => blocks[i]),
    bar: 50,
    stretch: 20,
  }

  const { config } = await timed(compileConfig)
  yield {
    figure: 'plan the same file from its compiled form',
    unit: 'ms',
    ours: await repeat(() => {
      const started = nowUs()
      planPipeline(config, context)
      return (nowUs() - started) / 1000
    }),
  }
  const ruled = (await timed(compileConfig, manyRules(jobs, 10))).config
  yield {
    figure: 'rule expressions decided',
    unit: 'per second',
    ours: await repeat(() => {
      const started = nowUs()
      const planned = planPipeline(ruled, context)
      if (!planned.ok) throw new Error(planned.errors[0].message)
      return ((jobs * 10) / (nowUs() - started)) * 1e6
    }),
    bar: 10_000,
    stretch: 100_000,
    better: 'more',
  }
}
