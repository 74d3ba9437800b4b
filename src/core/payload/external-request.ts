/** What jobs are told of a request to merge on a forge: https://docs.gitlab.com/ci/ci_cd_for_external_repos/#pipelines-for-external-pull-requests */
import type { PlanVariable } from '../ci-config/variables.js'
import type { RequestEvent } from '../store/fork-requests.js'

/** `head`, `base`: the commits, where they are known. */
export function requestVariables(
  { number, source, target }: RequestEvent,
  { head, base }: { head: string | undefined; base: string | undefined },
): PlanVariable[] {
  const values = {
    IID: String(number),
    SOURCE_REPOSITORY: source.repository,
    TARGET_REPOSITORY: target.repository,
    SOURCE_BRANCH_NAME: source.branch,
    SOURCE_BRANCH_SHA: head ?? '',
    TARGET_BRANCH_NAME: target.branch,
    TARGET_BRANCH_SHA: base ?? '',
  }
  return Object.entries(values).map(([name, value]) => ({
    key: `CI_EXTERNAL_PULL_REQUEST_${name}`,
    value,
    raw: true,
  }))
}
