/** Volumes of containers: what is mounted where, and where the job's folders lie. */
import { createHash } from 'node:crypto'
import path from 'node:path'
import type { Placement, PrepareInput } from '../../sdk.js'

/** The folder of all builds in a container. Source: GitLab Runner, `executors/docker/provider.go`. */
export const buildsFolder = '/builds'

/** One entry of `volumes`: `/cache`, `/host:/container`, `name:/container:ro`. */
export interface VolumeSpec {
  /** A folder of the host, or the name of a volume; absent: a volume of the project's own. */
  source?: string
  target: string
  mode: string
}

/** @throws Error for what is no volume. */
export function parseVolume(text: string): VolumeSpec {
  const parts = text.split(':')
  const [first = '', second, mode = ''] = parts
  const spec = second === undefined ? { target: first, mode: '' } : { source: first, target: second, mode }
  if (parts.length > 3 || !spec.target.startsWith('/') || spec.source === '') {
    throw new Error(
      `${JSON.stringify(text)} is no volume: give /CONTAINER, SOURCE:/CONTAINER or SOURCE:/CONTAINER:MODE`,
    )
  }
  return { ...spec, target: path.posix.normalize(spec.target).replace(/(.)\/$/, '$1') }
}

/** Where a job's folders are in its container. A folder of the host that is mounted over the sources holds them. */
export function placeOf(projectPath: string, volumes: readonly VolumeSpec[]): Placement {
  const build = path.posix.join(buildsFolder, projectPath)
  const cover = volumes
    .filter(({ source, target }) => source?.startsWith('/') && isWithin(build, target))
    .sort((a, b) => b.target.length - a.target.length)[0]
  const hostBuild = cover && path.join(cover.source!, path.posix.relative(cover.target, build))
  return { builds: buildsFolder, build, temp: `${build}.tmp`, ...(hostBuild === undefined ? {} : { hostBuild }) }
}

export function isWithin(inner: string, outer: string): boolean {
  return inner === outer || inner.startsWith(outer === '/' ? '/' : `${outer}/`)
}

/**
 * The name of the volume that keeps a folder between the jobs of a project in one place. The words are those that people look for:
 * https://docs.gitlab.com/runner/executors/docker/#the-persistent-storage
 */
export function cacheVolumeName({ runner, job }: PrepareInput, target: string): string {
  const digest = createHash('md5').update(target).digest('hex')
  return `runner-${nameSafe(runner.shortToken)}-project-${job.projectId}-concurrent-${runner.slot}-cache-${digest}`
}

/** Engines take letters, digits, `_`, `.` and `-`. */
export function nameSafe(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9_.-]/g, '_')
}
