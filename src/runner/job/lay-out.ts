/** Lays out the folders of a job: on this host, and as its scripts see them. */
import path from 'node:path'
import type { JobRunOptions } from '../job-run.js'
import { customFolder, type JobFolders, projectFolder, projectSlug } from './folders.js'
import { jobVariables } from './job-variables.js'
import { readSettings } from './settings.js'

/** Where the job works. `hasFolder`: what `GIT_CLONE_PATH` asks for can be; `apart`: scripts see another file system. */
export function layOut(options: JobRunOptions): { folders: JobFolders; apart: boolean; hasFolder: boolean } {
  const { payload, slot, builds, runner, executor } = options
  const standard = projectFolder(builds, runner.shortToken, slot.projectId, payload)
  const image = (payload.image?.name ?? '') !== ''
  const laidOut = (build: string, slug: string): { folders: JobFolders; apart: boolean } => {
    const host = { builds, build, temp: `${build}.tmp` }
    const placed = executor.runner.place?.({ path: slug, image })
    if (placed === undefined) return { folders: { ...host, inside: host, kept: false }, apart: false }
    const { hostBuild, ...inside } = placed
    const own = hostBuild === undefined ? {} : { build: hostBuild }
    return { folders: { ...host, ...own, inside, kept: hostBuild !== undefined }, apart: true }
  }
  const draft = laidOut(standard, projectSlug(payload))
  const { inside } = draft.folders
  const { strategy, clonePath } = readSettings(payload, jobVariables(options, draft.folders))
  const custom = clonePath === '' ? inside.build : customFolder(inside.builds, clonePath)
  const hasFolder = custom !== undefined
  // One that is emptied for each job is not the one in which others find their sources again.
  const wanted = `${custom ?? inside.build}${strategy === 'empty' ? '-empty' : ''}`
  if (wanted === inside.build) return { ...draft, hasFolder }
  const slug = path.relative(inside.builds, wanted)
  // Scripts that see another file system find there what they ask for; on this host it stays among the project's.
  return { ...laidOut(draft.apart ? path.join(`${standard}-at`, slug) : wanted, slug), hasFolder }
}
