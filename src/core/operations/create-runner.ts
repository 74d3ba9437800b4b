/** A new runner: made by a user, or registered with a registration token. */
import type { Core } from '../core.js'
import { SignalboxError, wrongField } from '../errors.js'
import { canonicalTags, type Runner, type RunnerType } from '../runner.js'
import { record } from '../steps/record.js'
import { findGroup, findProject } from '../store/projects.js'
import { insertRunner } from '../store/runners.js'
import type { Tx } from '../store/write.js'
import { hashToken, hintOf, mintToken, type TokenKind } from '../tokens/token.js'

/** What is said of a runner as it is made; absent settings have GitLab's defaults. */
export interface CreateRunnerInput {
  type: RunnerType
  projectId?: number
  groupId?: number
  description?: string
  maintenanceNote?: string | null
  paused?: boolean
  locked?: boolean
  runUntagged?: boolean
  protectedOnly?: boolean
  /** A list, or GitLab's comma-separated text. */
  tags?: string | readonly string[]
  maximumTimeoutS?: number | null
  /** Jobs at once over all its managers; null: no limit. */
  jobLimit?: number | null
  /** Made by `POST /runners` with a registration token. */
  registered?: boolean
}

const tokenKinds: Record<RunnerType, TokenKind> = {
  instance: 'instanceRunner',
  group: 'groupRunner',
  project: 'projectRunner',
}

/** Returns the runner and its token, which is shown this once. Throws `invalid` with `details.field`, or `not_found`. */
export function createRunner(core: Core, input: CreateRunnerInput): Promise<{ runner: Runner; token: string }> {
  return core.store.write(async (tx) => {
    await checkScope(tx, input)
    const settings = checkedSettings(input)
    const token = mintToken(
      input.registered ? 'registeredRunner' : tokenKinds[input.type],
      tx.random,
      core.settings.cell,
    )
    const runner = await insertRunner(tx, {
      type: input.type,
      tokenHash: hashToken(token),
      tokenHint: hintOf(token),
      tokenExpiresAt: null,
      registered: input.registered ? 1 : 0,
      description: settings.description ?? '',
      maintenanceNote: settings.maintenanceNote ?? null,
      active: settings.active ?? 1,
      locked: settings.locked ?? 0,
      runUntagged: settings.runUntagged ?? 1,
      protectedOnly: settings.protectedOnly ?? 0,
      tags: settings.tags ?? '[]',
      maximumTimeoutS: settings.maximumTimeoutS ?? null,
      jobLimit: settings.jobLimit ?? null,
      ...(input.projectId === undefined ? {} : { projectId: input.projectId }),
      ...(input.groupId === undefined ? {} : { groupId: input.groupId }),
    })
    requireTagsOrUntagged(runner)
    await record(core, tx, { kind: 'runner.created', runnerId: runner.id, data: { type: runner.type } })
    return { runner, token }
  })
}

const longestDescription = 1024
const longestNote = 1024
const shortestTimeoutS = 600
const mostJobs = 100_000

/** The settings that are given, checked and as the row keeps them. Throws `invalid` with `details.field`. */
export function checkedSettings(input: Omit<CreateRunnerInput, 'type'>) {
  const tags = input.tags === undefined ? undefined : canonicalTags(input.tags)
  if (input.tags !== undefined && !tags) throw wrongField('tag_list', 'has too many tags, or one that is too long')
  if ((input.description?.length ?? 0) > longestDescription) throw wrongField('description', 'is too long')
  if ((input.maintenanceNote?.length ?? 0) > longestNote) throw wrongField('maintenance_note', 'is too long')
  const timeout = input.maximumTimeoutS
  if (timeout != null && (!Number.isSafeInteger(timeout) || timeout < shortestTimeoutS || timeout > 2 ** 31 - 1)) {
    throw wrongField('maximum_timeout', `needs to be at least ${shortestTimeoutS} seconds`)
  }
  const limit = input.jobLimit
  if (limit != null && (!Number.isSafeInteger(limit) || limit < 1 || limit > mostJobs)) {
    throw wrongField('job_limit', 'needs to be a whole number from 1 on')
  }
  const flag = (value: boolean | undefined) => (value === undefined ? undefined : value ? 1 : 0)
  return {
    ...(input.description === undefined ? {} : { description: input.description }),
    ...(input.maintenanceNote === undefined ? {} : { maintenanceNote: input.maintenanceNote }),
    ...(timeout === undefined ? {} : { maximumTimeoutS: timeout }),
    ...(limit === undefined ? {} : { jobLimit: limit }),
    ...(tags === undefined ? {} : { tags: JSON.stringify(tags) }),
    ...(input.paused === undefined ? {} : { active: input.paused ? 0 : 1 }),
    ...defined('locked', flag(input.locked)),
    ...defined('runUntagged', flag(input.runUntagged)),
    ...defined('protectedOnly', flag(input.protectedOnly)),
  }
}

/** A runner that takes neither tagged nor untagged jobs is a mistake. */
export function requireTagsOrUntagged(runner: Runner): void {
  if (runner.runUntagged === 0 && runner.tags === '[]') {
    throw wrongField('tags_list', 'can not be empty when runner is not allowed to pick untagged jobs')
  }
}

async function checkScope(tx: Tx, input: CreateRunnerInput): Promise<void> {
  if (input.type === 'project') {
    if (input.projectId === undefined) throw wrongField('project_id', 'is missing')
    if (!(await findProject(tx, input.projectId))) throw new SignalboxError('not_found', 'no such project')
  }
  if (input.type === 'group') {
    if (input.groupId === undefined) throw wrongField('group_id', 'is missing')
    if (!(await findGroup(tx, input.groupId))) throw new SignalboxError('not_found', 'no such group')
  }
}

function defined<Key extends string>(key: Key, value: number | undefined): Partial<Record<Key, number>> {
  return value === undefined ? {} : ({ [key]: value } as Record<Key, number>)
}
