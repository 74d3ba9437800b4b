/** Jobs with all that they are shown with, read for a whole list at once. */
import type { Artifact } from '../core/artifact.js'
import type { Core } from '../core/core.js'
import type { Job } from '../core/job.js'
import type { CommitInfo, Project } from '../core/project.js'
import { listArtifacts } from '../core/store/artifacts.js'
import {
  busyManagers,
  busyRunners,
  definitionsById,
  managersById,
  pipelinesById,
  projectsById,
  runnersById,
  usersById,
} from '../core/store/related.js'
import { toJob } from './convert/job.js'
import type { JobEntity } from './entities.js'

/** The entities of jobs, in order. A commit that cannot be read is null and hides nothing else. */
export async function jobEntities(core: Core, jobs: readonly Job[]): Promise<JobEntity[]> {
  const { read } = core.store
  const [pipelines, projects, plans, users, runners, managers, busy, artifacts] = await Promise.all([
    pipelinesById(read, ids(jobs, 'pipelineId')),
    projectsById(read, ids(jobs, 'projectId')),
    definitionsById(read, ids(jobs, 'definitionId')),
    usersById(read, ids(jobs, 'userId')),
    runnersById(read, ids(jobs, 'runnerId')),
    managersById(read, ids(jobs, 'managerId')),
    Promise.all([busyRunners(read, ids(jobs, 'runnerId')), busyManagers(read, ids(jobs, 'managerId'))]),
    listArtifacts(read, ids(jobs, 'id')),
  ])
  const kept = groupByJob(artifacts)
  const commits = new Map<string, Promise<CommitInfo | undefined>>()
  const commitOf = (project: Project, sha: string) => {
    const key = `${project.id} ${sha}`
    let commit = commits.get(key)
    if (!commit) {
      // A repository that is gone or out of reach must not hide its jobs.
      commit = core.repositories.commit(project, sha).catch(() => undefined)
      commits.set(key, commit)
    }
    return commit
  }
  const shared = { externalUrl: core.externalUrl(), now: core.clock.now() }
  return Promise.all(
    jobs.map(async (job) => {
      const pipeline = pipelines.get(job.pipelineId)!
      const project = projects.get(job.projectId)!
      return toJob(job, {
        ...shared,
        project,
        pipeline,
        plan: plans.get(job.definitionId)!,
        user: job.userId === null ? undefined : users.get(job.userId),
        commit: await commitOf(project, pipeline.sha),
        runner: job.runnerId === null ? undefined : runners.get(job.runnerId),
        manager: job.managerId === null ? undefined : managers.get(job.managerId),
        busy: { runner: busy[0].has(job.runnerId ?? 0), manager: busy[1].has(job.managerId ?? 0) },
        artifacts: kept.get(job.id) ?? [],
      })
    }),
  )
}

/** The entity of one job. */
export async function jobEntity(core: Core, job: Job): Promise<JobEntity> {
  const [entity] = await jobEntities(core, [job])
  return entity!
}

function ids<Key extends 'id' | 'pipelineId' | 'projectId' | 'definitionId'>(jobs: readonly Job[], key: Key): number[]
function ids(jobs: readonly Job[], key: 'userId' | 'runnerId' | 'managerId'): (number | null)[]
function ids(jobs: readonly Job[], key: keyof Job): (number | null)[] {
  return jobs.map((job) => job[key] as number | null)
}

function groupByJob(artifacts: readonly Artifact[]): Map<number, Artifact[]> {
  const groups = new Map<number, Artifact[]>()
  for (const artifact of artifacts) groups.set(artifact.jobId, [...(groups.get(artifact.jobId) ?? []), artifact])
  return groups
}
