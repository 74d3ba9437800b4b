/** What forges tell us (they call it a webhook; here what comes in is a delivery), whoever tells it. */

export const forges = ['github', 'gitlab', 'gitea', 'generic'] as const
export type Forge = (typeof forges)[number]

/** Where a pull request comes from or goes to. */
export interface PullRequestSide {
  /** Full name of the repository there. */
  repository: string
  branch: string
  /** Undefined: not told; what the branch points to here. */
  sha?: string
}

export type DeliveryEvent =
  /** A branch or tag was made or moved. `ref` in full; `after`: the branch's commit. */
  | { kind: 'push'; ref: string; before?: string; after?: string }
  | {
      kind: 'pull_request'
      number: number
      source: PullRequestSide
      target: PullRequestSide
      /** Whoever may push to `source` need not be anybody here. */
      fork?: boolean
    }
  /** Branches or tags are gone: there is something to fetch, and no pipeline to make. */
  | { kind: 'fetch'; reason: string }
  | { kind: 'ignored'; reason: string }

export interface Delivery {
  id: number
  projectId: number
  forge: Forge
  /** The forge's own id of the delivery; null: it gave none. */
  forgeId: string | null
  event: DeliveryEvent
  status: 'waiting' | 'done' | 'failed'
  attempts: number
  pipelineId: number | null
  /** What became of it, where there is no pipeline. */
  message: string | null
  createdAt: number
}
