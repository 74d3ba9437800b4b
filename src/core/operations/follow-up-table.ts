/** Which operation does each follow-up (`../follow-ups.ts`). */
import type { Core } from '../core.js'
import type { FollowUpTable } from '../follow-ups.js'
import { amendVerdict } from './amend-verdict.js'
import { assignResource } from './assign-resource.js'
import { cancelChild } from './cancel-pipeline.js'
import { finishWork } from './finish-work.js'
import { followDownstream } from './follow-downstream.js'
import { followMirrors } from './mirror-upstream.js'
import { prepareJob } from './prepare-job.js'
import { carryOut } from './remove-deleted.js'
import { followCar, runMergeTrain } from './run-merge-train.js'
import { runSubscribers } from './subscribe-project.js'
import { triggerDownstream } from './trigger-downstream.js'

/** The table of one node. `core` is asked for at each use, since it holds the table itself. */
export function followUpTable(core: () => Core): FollowUpTable {
  return {
    prepare_job: ({ jobId }) => prepareJob(core(), jobId),
    trigger_downstream: ({ jobId }) => triggerDownstream(core(), jobId),
    follow_downstream: ({ jobId }) => followDownstream(core(), jobId),
    follow_mirrors: ({ pipelineId }) => followMirrors(core(), pipelineId),
    cancel_child: async ({ jobId, ...input }) => {
      await cancelChild(core(), input)
      if (jobId !== undefined) await followDownstream(core(), jobId)
    },
    amend_verdict: ({ jobId }) => amendVerdict(core(), jobId),
    finish_work: ({ jobId }) => finishWork(core(), jobId),
    assign_resource: ({ projectId, key }) => assignResource(core(), projectId, key),
    run_merge_train: (train) => runMergeTrain(core(), train),
    follow_car: (pipeline) => followCar(core(), pipeline),
    run_subscribers: ({ ids }) => runSubscribers(core(), ids),
    remove_deleted: ({ removals }) => carryOut(core(), removals),
  }
}
