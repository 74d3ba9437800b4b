/** A job of a file as a linter shows it. */
import type { PlanNeed } from './job-definition.js'

/** A job, as GitLab's linter lists it: https://docs.gitlab.com/api/lint/ */
export interface ListedJob {
  name: string
  stage: string
  beforeScript: string[]
  script: string[]
  afterScript: string[]
  tags: string[]
  when: string
  allowFailure: boolean
  environment?: string
  needs?: Pick<PlanNeed, 'job' | 'artifacts' | 'optional'>[]
  /** As written, with the default of `only`; absent in a pipeline, where both are decided. */
  only?: ListedPolicy
  except?: ListedPolicy
}

/** `only` or `except` of such a job. */
export interface ListedPolicy {
  refs?: string[]
  variables?: string[]
  changes?: string[]
  kubernetes?: 'active'
}
