// Compiling a file of 1,000 jobs with extends and rules.
import { nowUs, repeat } from '../lib.mjs'
import { bigConfig } from '../product/big-config.mjs'

export async function* measure() {
  const { compileConfig } = await import('../../dist/core/ci-config/compile.js')
  const { planPipeline } = await import('../../dist/core/ci-config/plan-pipeline.js')
  const source = bigConfig(1000)
  const options = { fetchInclude: async () => ({ ok: false, reason: 'none' }) }
  const compile = async () => {
    const started = nowUs()
    const result = await compileConfig(source, options)
    if (!result.ok) throw new Error(result.errors[0].message)
    return { took: (nowUs() - started) / 1000, config: result.config }
  }
  await compile()
  yield {
    figure: 'compile a .gitlab-ci.yml of 1,000 jobs',
    unit: 'ms',
    ours: await repeat(async () => (await compile()).took),
    bar: 300,
    stretch: 100,
  }
  const { config } = await compile()
  const context = {
    source: 'push',
    ref: 'main',
    tag: false,
    protected: true,
    defaultBranch: 'main',
    variables: [],
    strongFrom: 0,
  }
  yield {
    figure: 'plan the same file from its compiled form',
    unit: 'ms',
    ours: await repeat(() => {
      const started = nowUs()
      planPipeline(config, context)
      return (nowUs() - started) / 1000
    }),
  }
}
