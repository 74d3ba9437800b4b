/**
 * Cache keys that files make (`cache:key:files`, `files_commits`) become texts when the pipeline is made: what counts is
 * the pipeline's commit, and the runner is told the key alone. Rule: gitlab lib/gitlab/ci/pipeline/seed/build/cache.rb.
 */
import { createHash } from 'node:crypto'
import { compileGlob, isPattern } from '../ci-config/glob.js'
import type { JobPlan, PlanCache } from '../ci-config/job-definition.js'
import type { Project, Repositories } from '../project.js'

type FileKey = Exclude<PlanCache['key'], string>

/** The jobs, with such keys worked out; the same list if there are none. */
export async function resolveCacheKeys(
  repositories: Repositories,
  project: Project,
  sha: string,
  jobs: JobPlan[],
): Promise<JobPlan[]> {
  if (!jobs.some((job) => job.caches?.some(isByFiles))) return jobs
  const hashes = new Map<string, Promise<string>>()
  const hashOf = ({ files, filesCommits = false }: FileKey): Promise<string> => {
    const name = JSON.stringify([files, filesCommits])
    let hash = hashes.get(name)
    if (!hash) {
      hash = (filesCommits ? lastCommits : blobIds)(repositories, project, sha, files).then(digest)
      hashes.set(name, hash)
    }
    return hash
  }
  const resolved = async (cache: PlanCache, index: number): Promise<PlanCache> => {
    const { key } = cache
    return typeof key === 'string' ? cache : { ...cache, key: `${prefixOf(key, index)}-${await hashOf(key)}` }
  }
  return Promise.all(
    jobs.map(async (job) =>
      job.caches?.some(isByFiles) ? { ...job, caches: await Promise.all(job.caches.map(resolved)) } : job,
    ),
  )
}

function isByFiles({ key }: PlanCache): boolean {
  return typeof key !== 'string'
}

function prefixOf({ files, filesCommits, prefix }: FileKey, index: number): string {
  if (prefix !== undefined) return prefix
  return filesCommits ? String(index) : `${index}_${files.map((file) => file.split('.')[0]).join('_')}`
}

/** Of what does not exist: the word `default`. */
function digest(ids: readonly string[]): string {
  if (ids.length === 0) return 'default'
  return createHash('sha1')
    .update([...new Set(ids)].sort().join('-'))
    .digest('hex')
}

async function blobIds(repositories: Repositories, project: Project, sha: string, files: string[]): Promise<string[]> {
  const exact = new Set(files)
  const globs = files.filter(isPattern).map(compileGlob)
  const blobs = await repositories.listBlobs(project, sha)
  return blobs.filter(({ path }) => exact.has(path) || globs.some((matches) => matches(path))).map(({ id }) => id)
}

async function lastCommits(
  repositories: Repositories,
  project: Project,
  sha: string,
  files: string[],
): Promise<string[]> {
  const found = await Promise.all(files.map((file) => repositories.lastCommit(project, sha, file)))
  return found.filter((id) => id !== undefined)
}
