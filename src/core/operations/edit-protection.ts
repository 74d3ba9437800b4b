/**
 * Maintainers protect branches and tags, and take that away again. https://docs.gitlab.com/api/protected_branches/,
 * https://docs.gitlab.com/api/protected_tags/
 */
import type { Core } from '../core.js'
import { SignalboxError, wrongField } from '../errors.js'
import { type Protection, protectionsOf } from '../protection.js'
import { record } from '../steps/record.js'
import { getProject, lockProject, saveProtections } from '../store/projects.js'
import type { Tx } from '../store/write.js'

/** Of one project. */
const mostProtections = 200

type Named = Pick<Protection, 'kind' | 'name'>

/** Returns the new one. Throws `conflict` where the name is protected; `invalid` with `details.field` for one that is none, or too many. */
export function protectRef(core: Core, projectId: number, wanted: Omit<Protection, 'id'>): Promise<Protection> {
  return change(core, projectId, wanted, (before) => {
    if (before.some((one) => isOf(one, wanted))) {
      throw new SignalboxError('conflict', `Protected ${wanted.kind} '${wanted.name}' already exists`)
    }
    if (before.length >= mostProtections) throw wrongField('name', `is one too many: ${mostProtections} are there`)
    const protection = { ...wanted, id: Math.max(0, ...before.map((one) => one.id)) + 1 }
    return { list: [...before, protection], value: protection }
  })
}

/** Returns the changed one. Throws `not_found`. */
export function editProtection(
  core: Core,
  projectId: number,
  wanted: Named & Partial<Pick<Protection, 'push' | 'merge' | 'force'>>,
): Promise<Protection> {
  return change(core, projectId, wanted, (before) => {
    const protection = { ...find(before, wanted), ...wanted }
    return { list: before.map((one) => (isOf(one, wanted) ? protection : one)), value: protection }
  })
}

/** Throws `not_found`. */
export async function unprotectRef(core: Core, projectId: number, named: Named): Promise<void> {
  await change(core, projectId, named, (before) => {
    const value = find(before, named)
    return { list: before.filter((one) => one !== value), value }
  })
}

function change(
  core: Core,
  projectId: number,
  { kind, name }: Named,
  make: (before: Protection[]) => { list: Protection[]; value: Protection },
): Promise<Protection> {
  return core.store.write(async (tx: Tx) => {
    await lockProject(tx, projectId)
    const { list, value } = make(protectionsOf(await getProject(tx, projectId)))
    await saveProtections(tx, projectId, JSON.stringify(list))
    const kept = list.includes(value)
    await record(core, tx, { kind: 'project.changed', projectId, data: { [`protected_${kind}`]: name, kept } })
    return value
  })
}

const isOf = (one: Protection, { kind, name }: Named) => one.kind === kind && one.name === name

function find(list: readonly Protection[], named: Named): Protection {
  const found = list.find((one) => isOf(one, named))
  if (!found) throw new SignalboxError('not_found', `no protected ${named.kind} ${named.name}`)
  return found
}
