/** A running job asks for the archive of a job of another project. */

import { expandText } from '../ci-config/expand.js'
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import { needsOf, readable } from '../steps/find-foreign-artifacts.js'
import { lookupFor } from '../steps/job-lookup.js'
import { contextOf, variablesOf } from '../steps/pipeline-context.js'
import { getDefinition } from '../store/jobs.js'

/** Whether a running job may fetch the archive of this job of another project: one of its needs names it. */
export function mayFetchForeign(core: Core, job: Job, owner: Job): Promise<boolean> {
  return core.store.write(async (tx) => {
    const plan = await getDefinition(tx, job.definitionId)
    if (plan.crossNeeds === undefined) return false
    const context = await contextOf(tx, job.pipelineId)
    const variables = await variablesOf(core, tx, job.pipelineId)
    const lookup = lookupFor(core, job, plan, { ...context, variables })
    for (const need of needsOf(plan)) {
      if (need.project === undefined || expandText(need.job, lookup, 'blank') !== owner.name) continue
      if ((await readable(tx, job, expandText(need.project, lookup, 'blank')))?.id === owner.projectId) return true
    }
    return false
  })
}
