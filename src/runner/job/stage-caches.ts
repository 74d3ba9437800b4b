/** Stages: caches before and after the scripts. */
import path from 'node:path'
import type { CachePlace } from '../caches/cache-place.js'
import { messageOf } from '../runner-error.js'
import type { JobContext } from './context.js'
import { doorOf } from './door.js'
import { hostPath } from './folders.js'
import type { CacheSpec } from './payload.js'
import type { Failure } from './report.js'

/*
 * Caches make a job quicker and never fail it: what goes wrong is warned of. Source of order, words and keys: GitLab
 * Runner, `shells/abstract.go` and `commands/helpers/cache_{archiver,extractor}.go`.
 */

/** Restores the caches of a job, each from the first of its keys that has one. */
export async function restoreCaches(context: JobContext): Promise<Failure | undefined> {
  const { log, stop, folders } = context
  const caches = cachesOf(context)
  if (caches.length === 0 || stop.everything.aborted) return undefined
  return log.section('restore_cache', 'Restoring cache', async () => {
    const place = await placeOf(context)
    for (const cache of caches) {
      const policy = policyOf(cache)
      if (typeof policy !== 'string') return policy
      const [key, ...fallbacks] = keysOf(cache, context)
      if (policy === 'push') {
        log.notice(`Not downloading cache ${key} due to policy`)
        continue
      }
      await restore(place, [key!, ...fallbacks], path.join(folders.temp, 'cache.zip'), context)
      if (stop.everything.aborted) return undefined
    }
    return undefined
  })
}

/** Saves the caches of a job that ended so. */
export async function saveCaches(context: JobContext, success: boolean): Promise<void> {
  const { log, stop } = context
  const wanted = [success ? 'on_success' : 'on_failure', 'always']
  const caches = cachesOf(context).filter((cache) => wanted.includes(cache.when))
  if (caches.length === 0 || stop.everything.aborted) return
  const stage = success ? 'archive_cache' : 'archive_cache_on_failure'
  await log.section(stage, `Saving cache for ${success ? 'successful' : 'failed'} job`, async () => {
    const place = await placeOf(context)
    for (const cache of caches) {
      const policy = policyOf(cache)
      // One that is not known has failed the job where caches are restored.
      if (typeof policy !== 'string') continue
      const [key] = keysOf(cache, context)
      if (policy === 'pull') log.notice(`Not uploading cache ${key} due to policy`)
      else await save(place, key!, cache, context)
      if (stop.everything.aborted) return
    }
  })
}

async function restore(place: CachePlace, keys: readonly string[], file: string, context: JobContext): Promise<void> {
  const { log, folders } = context
  for (const key of keys) {
    log.notice(`Checking cache for ${key}...`)
    try {
      if (!(await place.fetch(key, file))) {
        log.plain(`No cache is kept under ${key}`)
        continue
      }
      const { extract } = await import('../artifacts/extract.js')
      await extract(file, folders.build, log)
      log.notice('Successfully extracted cache')
      return
    } catch (error) {
      log.warning(`Failed to extract cache: ${messageOf(error)}`)
    }
  }
}

async function save(place: CachePlace, key: string, cache: CacheSpec, { log, folders }: JobContext): Promise<void> {
  log.notice(`Creating cache ${key}...`)
  try {
    const [{ selectFiles }, { pack }] = await Promise.all([
      import('../artifacts/select.js'),
      import('../artifacts/pack.js'),
    ])
    const files = await selectFiles(folders.build, { ...cache, exclude: [] }, log)
    if (files.length === 0) {
      log.warning('No files to cache')
      return
    }
    await place.save(key, await pack('zip', folders.build, files, log))
    log.notice('Created cache')
  } catch (error) {
    log.warning(`Failed to create cache: ${messageOf(error)}`)
  }
}

async function placeOf(context: JobContext): Promise<CachePlace> {
  if (context.cacheDir !== undefined) {
    const { folderCaches } = await import('../caches/folder.js')
    return folderCaches(context.cacheDir)
  }
  const { serviceCaches } = await import('../caches/service.js')
  return serviceCaches(doorOf(context))
}

/** Nothing is cached without `paths` or `untracked`. */
function cachesOf({ payload, variables, folders }: JobContext): CacheSpec[] {
  return payload.caches
    .filter((cache) => cache.paths.length > 0 || cache.untracked)
    .map((cache) => ({
      ...cache,
      policy: variables.expand(cache.policy),
      paths: cache.paths.map((each) => hostPath(folders, variables.expand(each))),
    }))
}

/** The key and, in the order in which they are tried, those that stand in for it. */
function keysOf(cache: CacheSpec, { payload, variables, log }: JobContext): string[] {
  const expand = (key: string) => variables.expand(key).trim()
  const key = expand(cache.key) || `${payload.job.name}/${payload.git.ref}`
  const last = expand(variables.content('CACHE_FALLBACK_KEY'))
  const reserved = last.endsWith('-protected')
  // The suffix tells protected branches' caches: no job may choose it by itself.
  if (reserved) log.warning(`CACHE_FALLBACK_KEY ${last} not allowed to end in "-protected"`)
  return [key, ...cache.fallbackKeys.map(expand), ...(reserved ? [] : [last])].filter((each) => each !== '')
}

function policyOf({ policy }: CacheSpec): 'pull-push' | 'pull' | 'push' | Failure {
  if (policy === '' || policy === 'pull-push') return 'pull-push'
  if (policy === 'pull' || policy === 'push') return policy
  return { reason: 'runner_configuration_error', message: `unknown cache policy ${policy}` }
}
