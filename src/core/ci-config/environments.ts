/** Checks between jobs: who stops which environment. */
import type { Findings } from './findings.js'
import type { Jobs } from './jobs.js'
import { didYouMean } from './suggest.js'

/** `environment:on_stop` must name a job that stops the same environment (lib/gitlab/ci/yaml_processor.rb). */
export function checkOnStop({ drafts, refused }: Jobs, findings: Findings): void {
  const byName = new Map(drafts.map((draft) => [draft.job.name, draft]))
  for (const { job, node, at, path, onStop } of drafts) {
    if (onStop === undefined || refused.has(onStop)) continue
    const target = byName.get(onStop)?.job.plan.environment
    let problem: string | undefined
    if (!byName.has(onStop)) problem = `is not defined${didYouMean(onStop, byName.keys())}`
    else if (target === undefined) problem = 'has no environment defined'
    else if (target.name !== job.plan.environment?.name) problem = 'has a different environment'
    else if (target.action !== 'stop') problem = 'needs action: stop in its environment'
    if (problem === undefined) continue
    const place = node.entries.get('environment')?.at ?? at
    findings.error(`${job.name} job: on_stop job ${onStop} ${problem}`, place, `${path}:environment:on_stop`)
  }
}
