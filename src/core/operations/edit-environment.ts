/** Users make, change, delete and protect environments. */
import type { Core } from '../core.js'
import { type Environment, environmentSlug, guessTier, isEnvironmentName } from '../environment.js'
import { SignalboxError, wrongField } from '../errors.js'
import { record } from '../steps/record.js'
import {
  type Deployer,
  deleteProtectedEnvironment,
  deleteEnvironment as deleteRow,
  ensureEnvironment,
  findEnvironment,
  findEnvironmentByName,
  saveEnvironment,
  saveProtectedEnvironment,
} from '../store/environments.js'
import { lockProject } from '../store/projects.js'

/** Throws `invalid` with `details.field` for a name that is not one, or taken. */
export function createEnvironment(
  core: Core,
  input: Pick<Environment, 'projectId' | 'name'> &
    Partial<Record<'externalUrl' | 'tier' | 'description', string | undefined>>,
): Promise<Environment> {
  const { projectId, name } = input
  requireName(name)
  return core.store.write(async (tx) => {
    // Two at once: the second finds what the first has made.
    await lockProject(tx, projectId)
    if (await findEnvironmentByName(tx, projectId, name)) throw wrongField('name', 'has already been taken')
    const slug = environmentSlug(name)
    const tier = input.tier ?? guessTier(name)
    const { externalUrl = null, description = null } = input
    return ensureEnvironment(tx, { projectId, name, slug, tier, externalUrl, description })
  })
}

/** Throws `not_found`. */
export function updateEnvironment(
  core: Core,
  environmentId: number,
  changes: { externalUrl?: string; tier?: string; description?: string },
): Promise<Environment> {
  return core.store.write(async (tx) => {
    await saveEnvironment(tx, environmentId, changes)
    const environment = await findEnvironment(tx, environmentId)
    if (!environment) throw new SignalboxError('not_found', `no environment ${environmentId}`)
    return environment
  })
}

/** Throws `not_found`; `forbidden` unless it is stopped. */
export function deleteEnvironment(core: Core, environmentId: number): Promise<void> {
  return core.store.write(async (tx) => {
    const environment = await findEnvironment(tx, environmentId)
    if (!environment) throw new SignalboxError('not_found', `no environment ${environmentId}`)
    if (environment.state !== 'stopped') throw new SignalboxError('forbidden', 'only a stopped environment is deleted')
    await deleteRow(tx, environmentId)
  })
}

/** From now on only these, administrators and the owner of the namespace may deploy to environments of that name. */
export async function protectEnvironment(
  core: Core,
  input: { projectId: number; name: string; deployers: readonly Deployer[] },
): Promise<void> {
  requireName(input.name)
  const { projectId, name, deployers } = input
  await core.store.write(async (tx) => {
    await saveProtectedEnvironment(tx, projectId, name, deployers)
    const data = { protected_environment: name, deployers: JSON.stringify(deployers).slice(0, 1000), kept: true }
    await record(core, tx, { kind: 'project.changed', projectId, data })
  })
}

/** Throws `not_found` when it was not protected. */
export async function unprotectEnvironment(core: Core, projectId: number, name: string): Promise<void> {
  await core.store.write(async (tx) => {
    if (!(await deleteProtectedEnvironment(tx, projectId, name))) {
      throw new SignalboxError('not_found', `${JSON.stringify(name)} is not protected`)
    }
    const data = { protected_environment: name, kept: false }
    await record(core, tx, { kind: 'project.changed', projectId, data })
  })
}

function requireName(name: string): void {
  if (!isEnvironmentName(name)) {
    throw wrongField(
      'name',
      "can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', and spaces, but it cannot start or end with '/'",
    )
  }
}
