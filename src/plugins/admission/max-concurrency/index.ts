/** Holds jobs while as many run as may: everywhere, in each project, or in single projects. */
import { type AdmissionRequest, type AdmissionVerdict, definePlugin, type Json, PluginConfigError } from '../../sdk.js'

export interface Limits {
  /** Jobs at once in all; absent: as many as there are runners for. */
  all?: number
  /** In any one project. */
  project?: number
  /** In single projects, by path: this counts instead of `project`. */
  projects: Record<string, number>
}

/** A job that ends frees a place, and nobody is told: it is looked for this often. */
const askAgainS = 2

export default definePlugin<Limits>({
  id: 'admission.max-concurrency',
  apiVersion: 1,
  config: limitsOf,
  setup(host, limits) {
    const any = limits.all !== undefined || limits.project !== undefined || Object.keys(limits.projects).length > 0
    if (any) host.admit('max-concurrency', (request) => judgeConcurrency(limits, request))
    return undefined
  },
})

/** Returns the verdict on a job, by what runs already. Pure. */
export function judgeConcurrency(limits: Limits, { job, running }: AdmissionRequest): AdmissionVerdict {
  const own = Object.hasOwn(limits.projects, job.projectPath) ? limits.projects[job.projectPath] : limits.project
  if (limits.all !== undefined && running.all >= limits.all) {
    return { verdict: 'hold', reason: `${limits.all} jobs run, and no more may.`, seconds: askAgainS }
  }
  if (own !== undefined && running.project >= own) {
    const reason = `${own} jobs of ${job.projectPath} run, and no more may.`
    return { verdict: 'hold', reason, seconds: askAgainS }
  }
  return { verdict: 'admit' }
}

function limitsOf({ all, project, projects = {}, ...more }: Record<string, Json>): Limits {
  for (const key of Object.keys(more)) throw new PluginConfigError(key, 'unknown key')
  if (typeof projects !== 'object' || projects === null || Array.isArray(projects)) {
    throw new PluginConfigError('projects', 'must be a table of paths and numbers')
  }
  return {
    ...(all === undefined ? {} : { all: limitOf('all', all) }),
    ...(project === undefined ? {} : { project: limitOf('project', project) }),
    projects: Object.fromEntries(
      Object.entries(projects).map(([path, limit]) => [path, limitOf(`projects.${path}`, limit)]),
    ),
  }
}

function limitOf(key: string, value: Json): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1) return value
  throw new PluginConfigError(key, 'must be a whole number, 1 or more')
}
