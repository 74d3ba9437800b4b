/** Runners and their managers, as gitlab lib/api/entities/ci/runner*.rb show them; and the settings that a request gives. */
import { defined } from '../../core/defined.js'
import type { CreateRunnerInput } from '../../core/operations/create-runner.js'
import type { Group, Project } from '../../core/project.js'
import { type Runner, type RunnerManager, runnerStatus } from '../../core/runner.js'
import { type Params, wrongParameter } from '../../http/params.js'
import type { RunnerDetailsEntity, RunnerEntity, RunnerManagerEntity } from '../entities.js'
import { toProjectDetails } from './project.js'
import { toIso } from './time.js'

export interface RunnerContext {
  now: number
  /** Whether it has a job. */
  busy: boolean
}

/** `newest`: the manager heard from last, whose name and version the runner is shown with. */
export function toRunner(
  runner: Runner,
  newest: RunnerManager | undefined,
  { now, busy }: RunnerContext,
): RunnerEntity {
  const status = runnerStatus(runner, now)
  return {
    id: runner.id,
    description: runner.description,
    ip_address: newest?.ipAddress ?? null,
    active: runner.active === 1,
    paused: runner.active === 0,
    is_shared: runner.type === 'instance',
    runner_type: `${runner.type}_type`,
    name: newest?.name || null,
    online: runnerStatus({ ...runner, active: 1 }, now) === 'online',
    created_at: toIso(runner.createdAt),
    status,
    job_execution_status: busy ? 'active' : 'idle',
  }
}

export interface RunnerScope {
  projects: readonly Project[]
  groups: readonly Group[]
  /** Where the projects lie, by id. */
  namespaces: ReadonlyMap<number, Group>
}

/** A runner by itself, with its settings and whom it serves. */
export function toRunnerDetails(
  runner: Runner,
  newest: RunnerManager | undefined,
  scope: RunnerScope,
  context: RunnerContext & { externalUrl: string },
): RunnerDetailsEntity {
  return {
    ...toRunner(runner, newest, context),
    tag_list: JSON.parse(runner.tags),
    run_untagged: runner.runUntagged === 1,
    locked: runner.locked === 1,
    maximum_timeout: runner.maximumTimeoutS,
    ...(runner.jobLimit === null ? {} : { job_limit: runner.jobLimit }),
    access_level: runner.protectedOnly === 1 ? 'ref_protected' : 'not_protected',
    version: newest?.version || null,
    revision: newest?.revision || null,
    platform: newest?.platform || null,
    architecture: newest?.architecture || null,
    contacted_at: toIso(runner.contactedAt),
    maintenance_note: runner.maintenanceNote,
    projects: scope.projects.map((project) =>
      toProjectDetails(project, scope.namespaces.get(project.groupId), context.externalUrl),
    ),
    groups: scope.groups.map((group) => ({
      id: group.id,
      name: group.name,
      web_url: `${context.externalUrl}/groups/${group.fullPath}`,
    })),
  }
}

/** One process that uses a runner. */
export function toRunnerManager(manager: RunnerManager, { now, busy }: RunnerContext): RunnerManagerEntity {
  return {
    id: manager.id,
    system_id: manager.systemId,
    version: manager.version || null,
    revision: manager.revision || null,
    platform: manager.platform || null,
    architecture: manager.architecture || null,
    created_at: toIso(manager.createdAt),
    contacted_at: toIso(manager.contactedAt),
    ip_address: manager.ipAddress,
    status: runnerStatus({ active: 1, createdAt: manager.createdAt, contactedAt: manager.contactedAt }, now),
    job_execution_status: busy ? 'active' : 'idle',
  }
}

/** What creating, registering or resetting answers: the one time that the token is shown. */
export function toRunnerToken(runner: Runner, token: string): object {
  return { id: runner.id, token, token_expires_at: toIso(runner.tokenExpiresAt) }
}

const longestTimeoutS = 2 ** 31 - 1
const mostJobs = 100_000

/** The settings of a runner that a request gives; those that it does not name are absent. */
export function fromRunnerSettings(
  params: Params,
): Omit<CreateRunnerInput, 'type' | 'projectId' | 'groupId' | 'registered'> {
  const active = params.boolean('active')
  const settings = {
    description: params.text('description'),
    maintenanceNote: params.text('maintenance_note') ?? params.text('maintainer_note'),
    paused: params.boolean('paused') ?? (active === undefined ? undefined : !active),
    locked: params.boolean('locked'),
    runUntagged: params.boolean('run_untagged'),
    protectedOnly: protectedOnly(params),
    tags: params.texts('tag_list', { commas: true }),
    maximumTimeoutS: orNone(params, 'maximum_timeout', longestTimeoutS),
    jobLimit: orNone(params, 'job_limit', mostJobs),
  }
  return defined(settings)
}

function protectedOnly(params: Params): boolean | undefined {
  const level = params.choice('access_level', ['not_protected', 'ref_protected'])
  return level === undefined ? undefined : level === 'ref_protected'
}

/** A limit. Null, zero and an empty text take it away. */
function orNone(params: Params, name: string, most: number): number | null | undefined {
  const raw = params.raw(name)
  if (raw === undefined) return undefined
  if (raw === null || raw === '') return null
  const value = params.integer(name)
  if (value === undefined || value < 0 || value > most) throw wrongParameter(name)
  return value === 0 ? null : value
}
