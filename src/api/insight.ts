/**
 * What somebody wants to know who looks at a pipeline, or is about to make one:
 *
 * - `GET /pipelines/:id/tests`: the tests that failed, each with its earlier ends
 * - `GET /pipelines/:id/rules`: which jobs of the file are not in it, and the rule that decided
 * - `GET /projects/:id/run-form`: the inputs and variables that a pipeline of a ref is run with
 */
import { can } from '../core/authorize.js'
import { SignalboxError } from '../core/errors.js'
import { explainRules } from '../core/operations/explain-rules.js'
import { offerRun } from '../core/operations/offer-run.js'
import { showTestStanding, type TestStanding } from '../core/operations/show-test-standing.js'
import { getProject } from '../core/store/projects.js'
import type { Route } from '../http/call.js'
import { pipelineOf, projectOf } from './found.js'
import { signedInRoute } from './route.js'

export const insightRoutes: readonly Route[] = [
  signedInRoute('get', '/pipelines/:id/tests', async (call) => {
    const tests = await showTestStanding(call.core, await pipelineOf(call))
    return { status: 200, body: tests.map(toTest) }
  }),
  signedInRoute('get', '/pipelines/:id/rules', async (call) => {
    const pipeline = await pipelineOf(call)
    const project = await getProject(call.core.store.read, pipeline.projectId)
    // Rules name variables, and what they are compared with.
    if (!(await can(call.core, call.actor, 'operate', project))) throw forOperators()
    return { status: 200, body: await explainRules(call.core, pipeline) }
  }),
  signedInRoute('get', '/projects/:id/run-form', async (call) => {
    const project = await projectOf(call)
    if (!(await can(call.core, call.actor, 'operate', project))) throw forOperators()
    const ref = call.params.text('ref', { max: 1024 }) || project.defaultBranch
    return { status: 200, body: await offerRun(call.core, project, ref, call.actor.user) }
  }),
]

const forOperators = () => new SignalboxError('forbidden', 'this is for those who may operate the project')

function toTest({
  jobId,
  jobName,
  standing,
  history,
  status,
  name,
  classname,
  file,
  time,
  output,
}: TestStanding): object {
  return {
    job_id: jobId,
    job_name: jobName,
    ...{ status, name, classname, file, time, output, standing },
    history: history.map((one) => ({
      pipeline_id: one.pipelineId,
      job_id: one.jobId,
      status: one.status,
      time: one.time,
    })),
  }
}
