/** A job's place among those that run at once. */
export interface Slot {
  /** Unique among all jobs of this runner: `CI_CONCURRENT_ID`. */
  readonly id: number
  /** Unique among this runner's jobs of one project: `CI_CONCURRENT_PROJECT_ID`. */
  readonly projectId: number
  release(): void
}

/** Hands out the lowest free numbers, so that the folders of earlier jobs are used again. */
export class Slots {
  readonly #taken = new Map<string, Set<number>>()

  take(projectId: number): Slot {
    const [all, project] = ['all', `project ${projectId}`]
    const slot = { id: this.#lowest(all), projectId: this.#lowest(project) }
    return {
      ...slot,
      release: () => {
        this.#taken.get(all)?.delete(slot.id)
        this.#taken.get(project)?.delete(slot.projectId)
      },
    }
  }

  #lowest(scope: string): number {
    const taken = this.#taken.get(scope) ?? new Set<number>()
    this.#taken.set(scope, taken)
    let free = 0
    while (taken.has(free)) free++
    taken.add(free)
    return free
  }
}
