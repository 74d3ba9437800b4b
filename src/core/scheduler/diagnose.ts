/**
 * Why does a runner not have this job? Answered by the predicates that decide it (`match.ts`), so that the answer cannot
 * drift from the decision. Pure.
 */
import { type Demand, demandPredicates, type ProjectFacts, type RunnerFacts, scopePredicates } from './match.js'

/** What keeps a runner from a job. */
export interface Judgement {
  /** Everything that keeps the runner from the job, in sentences that go on after its name; none: it fits. */
  lacks: string[]
}

/** `online`: whether anything was heard of it lately. */
export function judgeRunner(runner: RunnerFacts, project: ProjectFacts, demand: Demand, online: boolean): Judgement {
  const lacks = [
    ...scopePredicates.filter((one) => !one.holds(runner, project)).map((one) => one.lacks(runner, project)),
    ...demandPredicates.filter((one) => !one.holds(runner, demand)).map((one) => one.lacks(runner, demand)),
  ]
  if (!online) lacks.push('has not been heard from lately')
  return { lacks }
}

/** Those that lack least come first. */
export function nearestFirst<T extends Judgement>(runners: readonly T[]): T[] {
  return runners.toSorted((a, b) => a.lacks.length - b.lacks.length)
}
