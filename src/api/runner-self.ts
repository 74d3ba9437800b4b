/** What a runner may ask about itself, by its own token: what people would see of it. */

import { runnerStatus } from '../core/runner.js'
import { countOpenLeasesOf } from '../core/store/runners.js'
import type { Call, Reply, Route } from '../http/call.js'

export const runnerSelfRoutes: readonly Route[] = [{ method: 'get', path: '/runner', streams: false, handle: show }]

async function show({ core, access, req }: Call): Promise<Reply> {
  const runner = await access.runner(req, undefined)
  return {
    status: 200,
    body: {
      id: runner.id,
      description: runner.description,
      runner_type: `${runner.type}_type`,
      status: runnerStatus(runner, core.clock.now()),
      paused: runner.active === 0,
      tag_list: JSON.parse(runner.tags) as string[],
      run_untagged: runner.runUntagged === 1,
      access_level: runner.protectedOnly === 1 ? 'ref_protected' : 'not_protected',
      job_limit: runner.jobLimit,
      open_leases: await countOpenLeasesOf(core.store.read, runner.id),
    },
  }
}
