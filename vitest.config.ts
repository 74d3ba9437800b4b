import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Those that take longest begin first, or one of them would be left alone at the end. */
const longest = [
  'test/faults/',
  'test/scenarios/gitlab-ci-local',
  'test/cli/team',
  'test/sim/seeds',
  'test/cli/run',
  'test/shim/polls',
  'test/contract/',
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = longest.findIndex((name) => moduleId.includes(`/${name}`))
      return at < 0 ? longest.length : at
    }
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b))
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // Long, for a machine that is busy with other things as well: tests wait for events, and time tells nothing.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    globalSetup: ['test/support/global-setup.ts'],
    setupFiles: ['test/support/no-warnings.ts'],
    sequence: { sequencer: LongestFirst },
  },
})
