import type { CiConfig } from '../../../src/core/ci-config/compilation.js'
import { compileConfig } from '../../../src/core/ci-config/compile.js'
import { planPipeline } from '../../../src/core/ci-config/plan-pipeline.js'
import type { PlanContext, PlanResult } from '../../../src/core/ci-config/planning.js'
import type { PlanVariable } from '../../../src/core/ci-config/variables.js'

/** Events as the server would tell of them, in a project with the default branch `main`. */
export interface EventFacts {
  /** Variables of the project or the pipeline, stronger than the file's. */
  variables?: Record<string, string>
  changed?: string[]
  files?: string[]
  comparePaths?: Record<string, string[]>
  onlyJobs?: string[]
}

function event(
  source: string,
  ref: string,
  predefined: Record<string, string>,
  facts: EventFacts,
  known: boolean,
): PlanContext {
  const weak: PlanVariable[] = Object.entries({
    CI_PIPELINE_SOURCE: source,
    CI_COMMIT_REF_NAME: ref,
    CI_DEFAULT_BRANCH: 'main',
    CI_PROJECT_PATH: 'grp/fork',
    ...predefined,
  }).map(([key, value]) => ({ key, value }))
  const strong = Object.entries(facts.variables ?? {}).map(([key, value]) => ({ key, value }))
  return {
    source,
    ref,
    tag: 'CI_COMMIT_TAG' in predefined,
    protected: false,
    defaultBranch: 'main',
    variables: [...weak, ...strong],
    strongFrom: weak.length,
    files: facts.files ?? [],
    ...(known ? { changedPaths: facts.changed ?? ['unrelated'] } : {}),
    ...(facts.comparePaths === undefined ? {} : { comparePaths: facts.comparePaths }),
    ...(facts.onlyJobs === undefined ? {} : { onlyJobs: facts.onlyJobs }),
  }
}

export const push = (branch: string, facts: EventFacts = {}): PlanContext =>
  event('push', branch, { CI_COMMIT_BRANCH: branch }, facts, true)
export const firstPush = (branch: string, facts: EventFacts = {}): PlanContext =>
  event('push', branch, { CI_COMMIT_BRANCH: branch }, facts, false)
export const pushTag = (tag: string, facts: EventFacts = {}): PlanContext =>
  event('push', tag, { CI_COMMIT_TAG: tag }, facts, false)
export const mergeRequest = (branch: string, facts: EventFacts = {}): PlanContext =>
  event('merge_request_event', branch, { CI_MERGE_REQUEST_IID: '1' }, facts, true)
export const schedule = (branch: string, facts: EventFacts = {}): PlanContext =>
  event('schedule', branch, { CI_COMMIT_BRANCH: branch }, facts, false)
export const web = (branch: string, facts: EventFacts = {}): PlanContext =>
  event('web', branch, { CI_COMMIT_BRANCH: branch }, facts, false)

export async function compileOrThrow(source: string): Promise<CiConfig> {
  const result = await compileConfig(source, { fetchInclude: async () => ({ ok: false, reason: 'does not exist' }) })
  if (!result.ok) throw new Error(result.errors.map(({ path, message }) => `${path} ${message}`).join('\n'))
  return result.config
}

export async function plan(source: string, context: PlanContext): Promise<PlanResult> {
  return planPipeline(await compileOrThrow(source), context)
}
