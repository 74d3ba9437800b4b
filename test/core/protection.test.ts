/** Which branches and tags a protection means, and for whom it leaves them open. */
import { describe, expect, it } from 'vitest'
import { isProtected, matchesName, mayForce, mergeLevel, pushLevel, updateLevel } from '../../src/core/protection.js'

const branch = (name: string) => ({ name, tag: false })
const tag = (name: string) => ({ name, tag: true })

it.each([
  ['main', 'main', true],
  ['main', 'Main', false],
  ['*', 'any/thing', true],
  ['*-stable', '1-0-stable', true],
  ['*-stable', '-stable', true],
  ['*-stable', 'stable', false],
  ['release/*', 'release/1/2', true],
  ['release/*', 'release', false],
  ['a*b*a', 'aba', true],
  ['a*b*a', 'ab', false],
  ['a*a', 'a', false],
  ['*.*', 'a.b', true],
  [`${'a*'.repeat(50)}b`, 'a'.repeat(1000), false],
])('%s and %s: %s', (pattern, name, expected) => {
  expect(matchesName(pattern, name)).toBe(expected)
})

describe('in a project', () => {
  const list = [
    { id: 1, kind: 'branch', name: 'main', push: 40, merge: 30, force: false },
    { id: 2, kind: 'branch', name: 'rel-*', push: 0, merge: 40, force: false },
    { id: 3, kind: 'branch', name: 'rel-2*', push: 30, merge: 30, force: true },
    { id: 4, kind: 'branch', name: 'locked', push: 0, merge: 0, force: false },
    { id: 5, kind: 'tag', name: 'v*', push: 60, merge: 60, force: false },
  ]
  const project = { defaultBranch: 'main', protections: JSON.stringify(list) }

  it.each([
    ['main', 40, 30, 30, false],
    ['rel-1', 100, 40, 40, false],
    ['rel-2', 30, 30, 30, true],
    ['locked', 100, 100, 100, false],
    ['topic', 30, 30, 30, true],
  ])('%s: push %d, merge %d, run %d, by force %s', (name, push, merge, update, force) => {
    const ref = branch(name)
    const found = [
      pushLevel(project, ref),
      mergeLevel(project, name),
      updateLevel(project, ref),
      mayForce(project, ref),
    ]
    expect(found).toEqual([push, merge, update, force])
  })

  it('keeps branches and tags apart, and protects the default branch where nothing was said', () => {
    expect([isProtected(project, tag('v1')), isProtected(project, branch('v1'))]).toEqual([true, false])
    expect([pushLevel(project, tag('v1')), pushLevel(project, tag('w1'))]).toEqual([60, 30])
    const plain = { defaultBranch: 'trunk', protections: null }
    expect([isProtected(plain, branch('trunk')), isProtected(plain, tag('trunk'))]).toEqual([true, false])
    expect([pushLevel(plain, branch('trunk')), mayForce(plain, branch('trunk'))]).toEqual([40, false])
    expect(isProtected({ defaultBranch: 'trunk', protections: '[]' }, branch('trunk'))).toBe(false)
  })
})
