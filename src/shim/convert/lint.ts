/** The answer of the linter: gitlab lib/api/entities/ci/lint/result.rb. */
import { mergedYaml } from '../../core/ci-config/merged-yaml.js'
import type { JobPlan } from '../../core/ci-config/plan.js'
import { sentence } from '../../core/operations/create-pipeline.js'
import type { LintResult } from '../../core/operations/lint-config.js'

/** What the linter found; `jobs`: also those that a push would make. */
export function toLint(result: LintResult, options: { jobs: boolean }): object {
  return {
    valid: result.errors.length === 0 && result.config !== undefined,
    errors: result.errors.map(sentence),
    warnings: [...result.warnings.map(sentence), ...(result.plan?.warnings ?? [])],
    merged_yaml: result.config ? mergedYaml(result.config) : null,
    includes: [],
    ...(options.jobs ? { jobs: (result.plan?.jobs ?? []).map(toLintJob) } : {}),
  }
}

/** A file that cannot even be found. */
export function toMissing(message: string): object {
  return { valid: false, errors: [message], warnings: [], merged_yaml: null, includes: [] }
}

function toLintJob(plan: JobPlan): object {
  return {
    name: plan.name,
    stage: plan.stage,
    before_script: [],
    script: plan.script,
    after_script: plan.afterScript ?? [],
    tag_list: plan.tags,
    only: null,
    except: null,
    environment: plan.environment?.name ?? null,
    when: plan.when,
    allow_failure: plan.allowFailure,
    needs: plan.needs?.map((need) => ({ name: need.job, artifacts: need.artifacts, optional: need.optional })) ?? null,
  }
}
