/** A part of compiling: `needs` and `dependencies`, and whether what they name is there. */
import type { CompiledJob, CompiledNeed } from './config.js'
import type { Findings } from './findings.js'
import type { JobDraft, Jobs } from './jobs.js'
import type { Need } from './keywords/needs.js'
import { limits } from './limits.js'
import { matrixNames } from './parallel.js'
import { didYouMean, except } from './suggest.js'
import { join } from './validate.js'

/** `needs` and `dependencies` between jobs of one pipeline (lib/gitlab/ci/yaml_processor.rb). */

export function compiledNeeds(needs: readonly Need[]): CompiledNeed[] {
  return needs.flatMap((need) => {
    if (need.kind !== 'job') return []
    const { job, artifacts, optional, matrix } = need
    const compiled = { job, artifacts, optional }
    return [matrix === undefined ? compiled : { ...compiled, instances: matrixNames(job, matrix) }]
  })
}

/** Finds jobs by their name in the file or by the name of one of their instances. */
export class JobNames {
  readonly #jobs = new Map<string, CompiledJob>()
  readonly #owners = new Map<string, CompiledJob>()
  readonly #refused: ReadonlySet<string>

  /** @param refused names of jobs that are in the file and were not understood */
  constructor(jobs: Iterable<CompiledJob>, refused: ReadonlySet<string> = new Set()) {
    this.#refused = refused
    for (const job of jobs) {
      this.#jobs.set(job.name, job)
      for (const instance of job.instances) this.#owners.set(instance.name, job)
    }
  }

  /** The job that a name points into, and whether it means all its instances. */
  find(name: string): { job: CompiledJob; all: boolean } | undefined {
    const job = this.#jobs.get(name)
    if (job !== undefined) return { job, all: true }
    const owner = this.#owners.get(name)
    return owner === undefined ? undefined : { job: owner, all: false }
  }

  /** Full names of the instances that a need waits for. */
  instances(need: CompiledNeed): readonly string[] {
    if (need.instances !== undefined) return need.instances
    const found = this.find(need.job)
    return found?.all === true ? found.job.instances.map(({ name }) => name) : [need.job]
  }

  /** Whether a name means a job that was refused, or an instance of one. */
  isRefused(name: string): boolean {
    if (this.#refused.size === 0) return false
    return this.#refused.has(name) || this.#refused.has(name.replace(/: \[.*\]$| \d+\/\d+$/s, ''))
  }

  names(): Iterable<string> {
    return this.#jobs.keys()
  }
}

/** Checks that needs and dependencies exist, come no later, are told once and make no circle. */
export function checkNeeds({ drafts, refused }: Jobs, findings: Findings): void {
  const names = new JobNames(
    drafts.map(({ job }) => job),
    refused,
  )
  for (const draft of drafts) {
    checkList(draft, 'needs', draft.job.needs, names, findings)
    for (const instance of draft.job.instances) checkList(draft, 'needs', instance.needs, names, findings)
    for (const rule of draft.job.rules ?? []) checkList(draft, 'rules', rule.needs, names, findings)
    checkDependencies(draft, names, findings)
    checkArtifactIncludes(draft, names, findings)
  }
  if (!findings.failed) checkCircles(drafts, names, findings)
}

function checkList(
  draft: JobDraft,
  key: string,
  needs: readonly CompiledNeed[] | undefined,
  names: JobNames,
  findings: Findings,
): void {
  if (needs === undefined) return
  const report = (message: string): void => {
    findings.error(`${draft.job.name} job: ${message}`, placeOf(draft, key), join(draft.path, key))
  }
  const seen = new Set<string>()
  const repeated = new Set<string>()
  for (const need of needs) {
    if (need.job.length > limits.nameCharacters) report(`need ${need.job.slice(0, 40)}… is too long`)
    const found = names.find(need.job)
    const known = found !== undefined && (need.instances ?? []).every((name) => names.find(name)?.job === found.job)
    if (!known) {
      const hint = didYouMean(need.job, except(names.names(), draft.job.name))
      const missing = found === undefined ? need.job : (need.instances ?? []).join('; ')
      if (!need.optional && !names.isRefused(need.job)) report(`undefined need: ${missing}${hint}`)
    } else if (isLater(found.job, draft.job)) {
      report(`need ${need.job} is not defined in current or prior stages`)
    }
    for (const name of need.instances ?? [need.job]) {
      if (seen.has(name)) repeated.add(need.job)
      seen.add(name)
    }
  }
  if (repeated.size > 0) report(`has the following needs duplicated: ${[...repeated].join(', ')}`)
}

/** A stage that does not exist comes after all that do; what is in it is told no more than that. */
function isLater(job: CompiledJob, than: CompiledJob): boolean {
  if (than.plan.stageIndex === -1) return false
  return job.plan.stageIndex === -1 || job.plan.stageIndex > than.plan.stageIndex
}

/** Dependencies are stored by full names, like needs. */
function checkDependencies(draft: JobDraft, names: JobNames, findings: Findings): void {
  if (draft.dependencies === undefined) return
  const report = (message: string): void => {
    findings.error(
      `${draft.job.name} job: ${message}`,
      placeOf(draft, 'dependencies'),
      join(draft.path, 'dependencies'),
    )
  }
  const all: string[] = []
  for (const name of draft.dependencies) {
    const found = names.find(name)
    if (names.isRefused(name)) continue
    if (found === undefined)
      report(`undefined dependency: ${name}${didYouMean(name, except(names.names(), draft.job.name))}`)
    else if (isLater(found.job, draft.job)) report(`dependency ${name} is not defined in current or prior stages`)
    else if (found.all) all.push(...found.job.instances.map((instance) => instance.name))
    else all.push(name)
  }
  draft.job.plan.dependencies = all
}

/** The job whose artifact becomes a child pipeline (`validate_dynamic_child_pipeline_dependencies!`). */
function checkArtifactIncludes({ job, node, path, at }: JobDraft, names: JobNames, findings: Findings): void {
  const include = (job.plan.trigger as { include?: unknown } | undefined)?.include
  for (const entry of [include].flat() as (string | { job?: string } | undefined)[]) {
    if (typeof entry !== 'object' || entry.job === undefined || entry.job.includes('$')) continue
    if (names.isRefused(entry.job)) continue
    const found = names.find(entry.job)
    const problem =
      found === undefined
        ? `undefined dependency: ${entry.job}${didYouMean(entry.job, names.names())}`
        : isLater(found.job, job) && `dependency ${entry.job} is not defined in current or prior stages`
    if (problem)
      findings.error(`${job.name} job: ${problem}`, node.entries.get('trigger')?.at ?? at, join(path, 'trigger'))
  }
}

/** Circles between jobs; instances of one job count as the job. Rules may change needs, so only written ones count. */
function checkCircles(drafts: readonly JobDraft[], names: JobNames, findings: Findings): void {
  const done = new Set<CompiledJob>()
  const neededBy = (job: CompiledJob): CompiledJob[] =>
    [job, ...job.instances].flatMap((one) => (one.needs ?? []).flatMap((need) => names.find(need.job)?.job ?? []))
  for (const draft of drafts) {
    const trail: { job: CompiledJob; needed: CompiledJob[]; next: number }[] = []
    const onTrail = new Set<CompiledJob>()
    const enter = (job: CompiledJob): void => {
      trail.push({ job, needed: neededBy(job), next: 0 })
      onTrail.add(job)
    }
    if (!done.has(draft.job)) enter(draft.job)
    for (let top = trail.at(-1); top !== undefined; top = trail.at(-1)) {
      const needed = top.needed[top.next++]
      if (needed === undefined) {
        done.add(top.job)
        onTrail.delete(top.job)
        trail.pop()
      } else if (onTrail.has(needed)) {
        const jobs = trail.map(({ job }) => job.name)
        const circle = [...jobs.slice(jobs.indexOf(needed.name)), needed.name]
        const kind = circle.length === 2 ? 'self-dependency' : 'circular dependency'
        findings.error(
          `the pipeline has a ${kind} (circular needs): ${circle.join(' → ')}`,
          placeOf(draft, 'needs'),
          join(draft.path, 'needs'),
        )
        return
      } else if (!done.has(needed)) {
        enter(needed)
      }
    }
  }
}

function placeOf(draft: JobDraft, key: string): number {
  return draft.node.entries.get(key)?.at ?? draft.at
}
