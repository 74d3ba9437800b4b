/** Repositories that hold a few files at one commit a project: what the core asks of git, without git. */
import type { CommitInfo, Project, Repositories } from '../core/project.js'

const simSha = '5160a1b0c5160a1b0c5160a1b0c5160a1b0c5160'

export class SimRepositories implements Repositories {
  readonly #files = new Map<number, ReadonlyMap<string, string>>()

  /** What the project's one commit holds. */
  commitFiles(projectId: number, files: Readonly<Record<string, string>>): void {
    this.#files.set(projectId, new Map(Object.entries(files)))
  }

  get browser(): never {
    throw new Error('nobody looks into these repositories')
  }
  async fetch(): Promise<{ head: string | undefined }> {
    return { head: undefined }
  }
  async fetchRef(): Promise<void> {}
  async create(): Promise<void> {}
  async remove(projectId: number): Promise<void> {
    this.#files.delete(projectId)
  }
  async tagMessage() {
    return ''
  }
  async resolve(_: Project, ref: string) {
    return { name: ref, tag: false, sha: simSha }
  }
  async readFile(project: Project, _: string, file: string) {
    return this.#files.get(project.id)?.get(file)
  }
  async listFiles(project: Project) {
    return [...(this.#files.get(project.id)?.keys() ?? [])]
  }
  async listBlobs(project: Project) {
    return (await this.listFiles(project)).map((path) => ({ path, id: simSha }))
  }
  async lastCommit(): Promise<undefined> {}
  async changedPaths(): Promise<string[]> {
    return []
  }
  async changedSince(): Promise<string[]> {
    return []
  }
  async mergeBase(): Promise<undefined> {}
  async merge(): Promise<undefined> {}
  async moveBranch(): Promise<boolean> {
    return false
  }
  async createTag(): Promise<'invalid'> {
    return 'invalid'
  }
  async listTags(): Promise<string[]> {
    return []
  }
  async commit(_: Project, sha: string): Promise<CommitInfo> {
    return {
      sha,
      author: 'Ada <ada@example.com>',
      authorName: 'Ada',
      authorEmail: 'ada@example.com',
      timestamp: '2026-01-01T00:00:00+00:00',
      message: 'Change something\n',
    }
  }
  pin(): void {}
  unpin(): void {}
  async pinsSettled(): Promise<void> {}
}
