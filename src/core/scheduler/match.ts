/**
 * May this runner take this job? Pure predicates over values, each with a name and a sentence: the claim uses them to
 * decide, `diagnose` to explain, so the two cannot drift apart.
 * Rules: gitlab lib/gitlab/ci/matching/runner_matcher.rb, app/models/ci/pending_build.rb.
 */
import type { RunnerType } from '../runner.js'

/** What a job demands of a runner: the same for many jobs, and interned as a row of `demands`. */
export interface Demand {
  tags: readonly string[]
  /** The job's ref is protected. */
  protected: boolean
  /** Features that the manager must report or its executor provide. */
  features: readonly string[]
}

/** What matters of a runner and the manager that asks. */
export interface RunnerFacts {
  type: RunnerType
  active: boolean
  /** Takes jobs of protected refs only. */
  protectedOnly: boolean
  runUntagged: boolean
  tags: ReadonlySet<string>
  features: ReadonlySet<string>
  /** Project runners: the projects served. */
  projectIds: ReadonlySet<number>
  /** Group runners: the groups served, with all that lies below. */
  groupIds: ReadonlySet<number>
}

/** What matters of a job's project. */
export interface ProjectFacts {
  id: number
  /** Its group and that group's ancestors. */
  groupIds: readonly number[]
  buildsEnabled: boolean
  instanceRunnersEnabled: boolean
  groupRunnersEnabled: boolean
  /** Its namespace has no compute minutes left. */
  overQuota: boolean
}

/** A condition that a runner must meet, and how to say that it does not. */
export interface Predicate<Against> {
  name: string
  holds(runner: RunnerFacts, against: Against): boolean
  /** Why a runner is passed over when it does not hold. */
  lacks(runner: RunnerFacts, against: Against): string
}

/** What a job asks of a runner. */
export const demandPredicates: readonly Predicate<Demand>[] = [
  {
    name: 'active',
    holds: (runner) => runner.active,
    lacks: () => 'is paused',
  },
  {
    name: 'tags',
    holds: (runner, demand) => demand.tags.every((tag) => runner.tags.has(tag)),
    lacks: (runner, demand) => `lacks tags ${demand.tags.filter((tag) => !runner.tags.has(tag)).join(', ')}`,
  },
  {
    name: 'untagged',
    holds: (runner, demand) => runner.runUntagged || demand.tags.length > 0,
    lacks: () => 'takes tagged jobs only',
  },
  {
    name: 'protected',
    holds: (runner, demand) => !runner.protectedOnly || demand.protected,
    lacks: () => 'takes jobs of protected refs only',
  },
  {
    name: 'features',
    holds: (runner, demand) => demand.features.every((feature) => runner.features.has(feature)),
    lacks: (runner, demand) =>
      `lacks features ${demand.features.filter((feature) => !runner.features.has(feature)).join(', ')}`,
  },
]

/** What a project asks of a runner. */
export const scopePredicates: readonly Predicate<ProjectFacts>[] = [
  {
    name: 'builds',
    holds: (_, project) => project.buildsEnabled,
    lacks: () => 'cannot serve a project whose CI/CD is switched off',
  },
  {
    name: 'scope',
    holds: (runner, project) => inScope(runner, project),
    lacks: (runner) => scopeSentences[runner.type],
  },
  {
    name: 'quota',
    holds: (runner, project) => runner.type !== 'instance' || !project.overQuota,
    lacks: () => 'is an instance runner, and the project’s namespace has no compute minutes left',
  },
]

const scopeSentences: Record<RunnerType, string> = {
  instance: 'is an instance runner, and the project has these switched off',
  group: 'belongs to a group that the project is not in, or the project has group runners switched off',
  project: 'is not enabled for the project',
}

/** Whether the runner can meet the demand, whatever project it comes from. */
export function meets(runner: RunnerFacts, demand: Demand): boolean {
  return demandPredicates.every((predicate) => predicate.holds(runner, demand))
}

/** Whether the runner serves the project at all. */
export function serves(runner: RunnerFacts, project: ProjectFacts): boolean {
  return scopePredicates.every((predicate) => predicate.holds(runner, project))
}

function inScope(runner: RunnerFacts, project: ProjectFacts): boolean {
  switch (runner.type) {
    case 'instance':
      return project.instanceRunnersEnabled
    case 'group':
      return project.groupRunnersEnabled && project.groupIds.some((id) => runner.groupIds.has(id))
    case 'project':
      return runner.projectIds.has(project.id)
  }
}
