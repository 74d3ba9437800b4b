import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Demand,
  demandPredicates,
  meets,
  type ProjectFacts,
  type RunnerFacts,
  scopePredicates,
  serves,
} from '../../../src/core/scheduler/match.js'
import { bestHead, compareHeads } from '../../../src/core/scheduler/order.js'

const tags = ['a', 'b', 'c']
const subset = fc.subarray(tags)

const runners = fc.record({
  type: fc.constantFrom('instance', 'group', 'project'),
  active: fc.boolean(),
  protectedOnly: fc.boolean(),
  runUntagged: fc.boolean(),
  tags: subset.map((list) => new Set(list)),
  features: fc.subarray(['x', 'y']).map((list) => new Set(list)),
  projectIds: fc.subarray([1, 2]).map((list) => new Set(list)),
  groupIds: fc.subarray([10, 20]).map((list) => new Set(list)),
}) as fc.Arbitrary<RunnerFacts>

const demands: fc.Arbitrary<Demand> = fc.record({
  tags: subset,
  protected: fc.boolean(),
  features: fc.subarray(['x', 'y']),
})

const projects: fc.Arbitrary<ProjectFacts> = fc.record({
  id: fc.constantFrom(1, 2),
  groupIds: fc.subarray([10, 20]),
  buildsEnabled: fc.boolean(),
  instanceRunnersEnabled: fc.boolean(),
  groupRunnersEnabled: fc.boolean(),
  overQuota: fc.boolean(),
})

/** The rule once more, written as one sentence instead of a table. */
function oracle(runner: RunnerFacts, demand: Demand, project: ProjectFacts): boolean {
  if (!runner.active || !project.buildsEnabled) return false
  for (const tag of demand.tags) if (!runner.tags.has(tag)) return false
  if (demand.tags.length === 0 && !runner.runUntagged) return false
  if (runner.protectedOnly && !demand.protected) return false
  for (const feature of demand.features) if (!runner.features.has(feature)) return false
  if (runner.type === 'instance') return project.instanceRunnersEnabled && !project.overQuota
  if (runner.type === 'project') return runner.projectIds.has(project.id)
  return project.groupRunnersEnabled && project.groupIds.some((id) => runner.groupIds.has(id))
}

describe('matching', () => {
  it('agrees with the rule written a second time', () => {
    fc.assert(
      fc.property(runners, demands, projects, (runner, demand, project) => {
        expect(meets(runner, demand) && serves(runner, project)).toBe(oracle(runner, demand, project))
      }),
      { numRuns: 2000 },
    )
  })

  it('names what a runner lacks exactly when it is passed over', () => {
    fc.assert(
      fc.property(runners, demands, projects, (runner, demand, project) => {
        const lacks = [
          ...demandPredicates.filter((one) => !one.holds(runner, demand)).map((one) => one.lacks(runner, demand)),
          ...scopePredicates.filter((one) => !one.holds(runner, project)).map((one) => one.lacks(runner, project)),
        ]
        expect(lacks.length === 0).toBe(oracle(runner, demand, project))
        for (const sentence of lacks) expect(sentence).toMatch(/^\w.+/)
      }),
    )
  })
})

describe('order', () => {
  const head = (jobId: number, priority = 0, share = 0) => ({ laneId: jobId, jobId, priority, share })

  it('takes the project with the fewest jobs first on instance runners, then priority, then age', () => {
    expect(bestHead('instance', [head(1, 0, 2), head(9, 0, 1), head(5, 3, 2)])?.jobId).toBe(9)
    expect(bestHead('instance', [head(1), head(5, 3)])?.jobId).toBe(5)
    expect(bestHead('instance', [head(7), head(3)])?.jobId).toBe(3)
  })

  it('does not look at shares on other runners', () => {
    for (const type of ['group', 'project'] as const) {
      expect(bestHead(type, [head(1, 0, 9), head(2, 0, 0)])?.jobId).toBe(1)
    }
  })

  it('is a total order', () => {
    const heads = fc.array(fc.record({ laneId: fc.nat(), jobId: fc.nat(50), priority: fc.nat(3), share: fc.nat(3) }), {
      minLength: 3,
      maxLength: 3,
    })
    fc.assert(
      fc.property(heads, fc.constantFrom('instance' as const, 'project' as const), ([a, b, c], type) => {
        expect(Math.sign(compareHeads(type, a!, b!))).toBe(-Math.sign(compareHeads(type, b!, a!)) + 0)
        if (compareHeads(type, a!, b!) <= 0 && compareHeads(type, b!, c!) <= 0) {
          expect(compareHeads(type, a!, c!)).toBeLessThanOrEqual(0)
        }
      }),
    )
  })
})
