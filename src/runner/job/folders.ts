/** The folders of one job. */
import fs from 'node:fs'
import path from 'node:path'
import type { JobPayload } from './payload.js'

/** Where one job works. */
export interface JobFolders {
  /** All jobs of this runner. */
  builds: string
  /** The sources. */
  build: string
  /** Files of this job beside its sources. */
  temp: string
  /** The same folders as the job's scripts see them. */
  inside: { builds: string; build: string; temp: string }
  /** The folder of the sources is not ours to remove and make again: a volume of the host. */
  kept: boolean
}

/** A path that a job names, as this host has it. */
export function hostPath({ build, inside }: JobFolders, given: string): string {
  if (given === inside.build) return build
  return given.startsWith(`${inside.build}/`) ? path.join(build, given.slice(inside.build.length + 1)) : given
}

/**
 * The folder for a job's sources: `<builds>/<short token>/<slot>/<project path>`, so that a later job of the project
 * finds them again and two at once do not meet. Source: GitLab Runner, `common/build.go` (ProjectUniqueDir).
 */
export function projectFolder(builds: string, shortToken: string, slot: number, payload: JobPayload): string {
  return path.join(builds, shortToken, String(slot), projectSlug(payload))
}

/**
 * Where `GIT_CLONE_PATH` asks to work.
 * @returns nothing if that is outside of the builds folder.
 */
export function customFolder(builds: string, wanted: string): string | undefined {
  const folder = path.resolve(builds, wanted)
  const relative = path.relative(builds, folder)
  return relative === '' || relative === '..' || relative.startsWith('../') ? undefined : folder
}

/** Removes a folder with all that is in it, also where a job has left folders that nobody may write to. */
export function removeFolder(folder: string): void {
  try {
    fs.rmSync(folder, { recursive: true, force: true })
  } catch {
    makeWritable(folder)
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

function makeWritable(folder: string): void {
  fs.chmodSync(folder, 0o700)
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) makeWritable(path.join(folder, entry.name))
  }
}

/** The path of the project as a folder's name: no part of it leads elsewhere. */
export function projectSlug(payload: JobPayload): string {
  for (const candidate of [urlPath(payload.git.repoUrl), payload.job.projectPath]) {
    const slug = path.posix.normalize(candidate.replace(/\.git\/?$/, '')).replace(/^\/+|\/+$/g, '')
    if (slug !== '' && slug !== '.' && !slug.split('/').includes('..') && !slug.includes('\0')) return slug
  }
  return `project-${payload.job.projectId}`
}

function urlPath(text: string): string {
  try {
    const url = new URL(text)
    return url.host === '' ? '' : decodeURIComponent(url.pathname)
  } catch {
    return ''
  }
}
