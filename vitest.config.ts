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

/**
 * What keeps to its own objects, and runs in processes that others have used: to load all of `src/` for each file takes as long as
 * many of them do. A test that sets variables of the process, measures it or leaves children behind belongs elsewhere.
 */
const together = ['api', 'contract', 'core', 'git', 'http', 'shim', 'webhooks'].map(
  (room) => `test/${room}/**/*.test.ts`,
)
/** These measure the memory of their process. */
const measured = ['test/core/ci-config/language-pool.test.ts', 'test/core/reports/reports.test.ts']

export default defineConfig({
  test: {
    // One more than the two processors that CI has: much of what is tested waits for other processes.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    projects: [
      { extends: true, test: { name: 'together', include: together, exclude: measured, isolate: false } },
      { extends: true, test: { name: 'measured', include: measured } },
      { extends: true, test: { name: 'apart', include: ['test/**/*.test.ts'], exclude: together } },
    ],
    pool: 'forks',
    // Long, for a machine that is busy with other things as well: tests wait for events, and time tells nothing.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    globalSetup: ['test/support/global-setup.ts'],
    setupFiles: ['test/support/no-warnings.ts'],
  },
})
