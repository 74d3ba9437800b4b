/** Which jobs of the file are in a pipeline and which are not: the rule that decided of each. */
import { describeWithPlace } from '../ci-config/config-error.js'
import type { JobDecision } from '../ci-config/planning.js'
import { turnOf } from '../config/config-cache.js'
import type { Core } from '../core.js'
import type { Pipeline, PipelineSource, PipelineVariables } from '../pipeline.js'
import { variablesFor } from '../steps/variables-for.js'
import { findPipelineVariables } from '../store/pipelines.js'
import { getProject } from '../store/projects.js'
import { findUser } from '../store/users.js'
import { changesOf } from './changes-of.js'
import { offerAt, standInsFor } from './offer-run.js'
import { ruleFacts } from './rule-facts.js'

/** What was decided, or in sentences why that cannot be told. */
export interface RulesExplained {
  decisions: JobDecision[]
  errors: string[]
}

/**
 * Decides the rules of the file once more, with the variables that the pipeline was made with and those that are set now.
 * A pipeline of another file than the project's (a child's, a schedule's of old) is not explained.
 */
export async function explainRules(core: Core, pipeline: Pipeline): Promise<RulesExplained> {
  if (pipeline.source === 'parent_pipeline') return refused('the file of a child pipeline is that of its trigger job')
  const { read } = core.store
  const project = await getProject(read, pipeline.projectId)
  const user = pipeline.userId === null ? null : ((await findUser(read, pipeline.userId)) ?? null)
  const sealed = await findPipelineVariables(read, pipeline.id)
  if (!sealed) return refused('the variables of the pipeline are not kept')
  const { predefined, strong }: PipelineVariables = JSON.parse(core.keys.open(sealed).toString('utf8'))
  const set = await variablesFor(core, read, {
    projectId: project.id,
    protected: pipeline.protected === 1,
    environment: null,
  })
  const variables = [...predefined, ...set, ...strong]
  const resolved = { name: pipeline.ref, tag: pipeline.tag === 1, sha: pipeline.sha }
  const beforeSha = pipeline.beforeSha
  const source = pipeline.source as PipelineSource
  const changedPaths = () => changesOf(core.repositories, project, resolved, { source, beforeSha })
  // With which inputs it was made is not kept. Those that must be given get any value: rules hardly ever look at them.
  const inputs = standInsFor((await offerAt(core, project, pipeline.sha, user)).inputs)
  const request = { user, variables, changedPaths, ...(Object.keys(inputs).length > 0 ? { inputs } : {}) }
  const { result } = await core.configs.load(project, pipeline.sha, request)
  if (!result) return refused('there is no configuration at this commit')
  if (!result.ok) return refused(...result.errors.map(describeWithPlace))
  const event = {
    ...{ variables, strongFrom: predefined.length, source, ref: pipeline.ref, tag: resolved.tag, explain: true },
    ...{ protected: pipeline.protected === 1, defaultBranch: project.defaultBranch },
  }
  const facts = { project, sha: pipeline.sha, user, changedPaths }
  const planned = await core.language.plan(
    result.config,
    event,
    (wanted) => ruleFacts(core, facts, wanted),
    turnOf(project),
  )
  if (planned.ok) return { decisions: planned.plan.decisions ?? [], errors: [] }
  return { decisions: planned.decisions ?? [], errors: planned.errors.map(describeWithPlace) }
}

const refused = (...errors: string[]): RulesExplained => ({ decisions: [], errors })
