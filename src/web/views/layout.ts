/** Where the boxes of a pipeline's picture stand: pure. */
import type { JobView, Needs } from '../types.js'

export interface JobGroup {
  name: string
  jobs: JobView[]
}

/** Jobs that `parallel` has made of one, by the name they share: `test 1/5`, `build: [linux, x64]`. */
export function groupsOf(jobs: readonly JobView[]): JobGroup[] {
  const groups = new Map<string, JobView[]>()
  for (const job of jobs) {
    const name = job.name.replace(/ \d+\/\d+$|: \[.*\]$/, '')
    groups.set(name, [...(groups.get(name) ?? []), job])
  }
  return [...groups].flatMap(([name, list]) =>
    list.length > 1 ? [{ name, jobs: list }] : [{ name: list[0]!.name, jobs: list }],
  )
}

/** Each job one column right of the last one that it needs. */
export function columnsByNeeds(jobs: readonly JobView[], needs: Needs): { name: string; jobs: JobView[] }[] {
  const depth = new Map<number, number>()
  const depthOf = (id: number): number => {
    const known = depth.get(id)
    if (known !== undefined) return known
    // Also ends a circle, which the server lets nobody make.
    depth.set(id, 0)
    const found = Math.max(0, ...(needs[id] ?? []).map((one) => depthOf(one) + 1))
    depth.set(id, found)
    return found
  }
  const columns: JobView[][] = []
  for (const job of jobs) {
    const column = depthOf(job.id)
    columns[column] ??= []
    columns[column].push(job)
  }
  return Array.from(columns, (list, i) => ({ name: `Step ${i + 1}`, jobs: list ?? [] }))
}

export interface CriticalPath {
  ids: ReadonlySet<number>
  /** How long its jobs waited for a runner, in milliseconds. */
  queuedMs: number
}

/** The jobs that the end of the pipeline waited for: from the last to end, back through what it waited for longest. */
export function criticalPath(jobs: readonly JobView[], needs: Needs): CriticalPath {
  const byId = new Map(jobs.map((job) => [job.id, job]))
  const ids = new Set<number>()
  const last = (list: readonly JobView[]) =>
    list.filter((job) => job.finished_at !== null).sort((a, b) => b.finished_at! - a.finished_at!)[0]
  let queuedMs = 0
  for (let job = last(jobs); job && !ids.has(job.id); ) {
    ids.add(job.id)
    if (job.queued_at !== null && job.started_at !== null) queuedMs += Math.max(0, job.started_at - job.queued_at)
    job = last((needs[job.id] ?? []).flatMap((id) => byId.get(id) ?? []))
  }
  return { ids, queuedMs }
}
