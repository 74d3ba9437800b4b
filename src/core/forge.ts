/**
 * Forges: where the code of a mirrored project lives, and where its results are told. What the core needs of them; the room
 * `forges` speaks to them.
 */
import { SignalboxError } from './errors.js'

export const forgeKinds = ['github', 'gitlab', 'gitea'] as const
/** Forgejo is spoken to as Gitea. */
export type ForgeKind = (typeof forgeKinds)[number]

/** Whether pull requests of forks run: not at all, each head once a member has approved it, or all. */
export const forkPolicies = ['never', 'approve', 'always'] as const
export type ForkPolicy = (typeof forkPolicies)[number]

/** A project's repository on a forge. */
export interface ForgeConnection {
  projectId: number
  kind: ForgeKind
  /** Where the forge is, without a slash at the end. */
  baseUrl: string
  /** Full name there: `OWNER/NAME`. */
  repository: string
  /** The forge's own id of the repository: it stays when the name changes. */
  remoteId: string
  /** The forge's id of our webhook; null: none is known. */
  hookId: string | null
  forks: ForkPolicy
  /** Each job has a status of its own besides the pipeline's. */
  jobStatuses: number
  /** Whose right pipelines of deliveries run by. */
  userId: number
  /** Why nothing reaches the forge; null: all is well. */
  error: string | null
  /** Attempts in a row that came to nothing. */
  failures: number
  /** Nothing is told before then, in milliseconds since 1970. */
  pausedUntil: number
  createdAt: number
  /** The token, sealed. */
  sealed: Uint8Array
}

/** What a request to a forge needs. */
export interface ForgeAccess extends Pick<ForgeConnection, 'kind' | 'baseUrl' | 'repository' | 'remoteId'> {
  token: string
}

/** Where a repository is, as its address tells. */
export type ForgePlace = Pick<ForgeConnection, 'kind' | 'baseUrl' | 'repository'>

/** A repository as its forge describes it, and what the token lacks there. */
export interface ForgeRepository {
  remoteId: string
  fullName: string
  cloneUrl: string
  /** The user that git shows the token with. */
  gitUser: string
  defaultBranch: string
  /** One sentence for each right that is missing; empty: the token may all that is needed. */
  missing: string[]
}

export type ForgeState = 'pending' | 'running' | 'success' | 'failed' | 'canceled' | 'skipped'

/** What a commit shows on its forge under one name. */
export interface CommitStatus {
  sha: string
  /** A branch or tag; null: it has none here. */
  ref: string | null
  /** The name under which it is shown: a later status of the same name takes its place. */
  context: string
  state: ForgeState
  /** One line. */
  description: string
  targetUrl: string
}

/** A webhook as the forge is to have it. */
export interface ForgeHook {
  url: string
  secret: string
  /** One that is ours, if it is still there. */
  id: string | null
}

/** Speaks to forges. Every method rejects with `ForgeError`. */
export interface Forges {
  /** Which forge has the repository of an address as people copy it: asks the host where its name does not tell. */
  locate(url: string, kind?: ForgeKind): Promise<ForgePlace>
  /** Found by `remoteId` where it is not empty, whatever its name is by now. */
  inspect(access: ForgeAccess): Promise<ForgeRepository>
  /** Makes the webhook, or mends the one that is there; others with its address are removed. Returns its id. */
  putHook(access: ForgeAccess, hook: ForgeHook): Promise<{ id: string; repaired: boolean }>
  /** Safe to repeat. */
  removeHook(access: ForgeAccess, hookId: string): Promise<void>
  report(access: ForgeAccess, status: CommitStatus): Promise<void>
  /** The ref under which the forge keeps the head of a request. */
  requestRef(kind: ForgeKind, number: number): string
}

/**
 * - `away`: it does not answer, or not sensibly
 * - `limited`: it wants to be left alone until `until`
 * - `refused`: the token may not
 * - `missing`: there is no such thing, or the token may not see it
 * - `moved`: the repository has another name
 * - `rejected`: it does not take what was sent
 */
export type ForgeTrouble = 'away' | 'limited' | 'refused' | 'missing' | 'moved' | 'rejected'

/** A forge has not done what it was asked. The message is one sentence without secrets. */
export class ForgeError extends Error {
  override readonly name = 'ForgeError'
  readonly trouble: ForgeTrouble
  /** For how long it wants to be left alone, in milliseconds. */
  readonly waitMs: number | undefined

  constructor(trouble: ForgeTrouble, message: string, waitMs?: number) {
    super(message)
    this.trouble = trouble
    this.waitMs = waitMs
  }
}

const codes = {
  away: 'unavailable',
  limited: 'unavailable',
  refused: 'invalid',
  missing: 'invalid',
  moved: 'unavailable',
  rejected: 'invalid',
} as const

/** What whoever asked is told. Anything else that was thrown is thrown on. */
export function forgeRefusal(error: unknown): SignalboxError {
  if (!(error instanceof ForgeError)) throw error
  return new SignalboxError(codes[error.trouble], error.message, { cause: error, details: { verbatim: true } })
}

/** A coordinator that lives for one command speaks to no forge. */
export const noForges: Forges = new Proxy({} as Forges, {
  get: () => () => Promise.reject(new ForgeError('away', 'forges are not spoken to here')),
})

const forkRef = /^refs\/forks\/[1-9]\d*\/head$/

/** The ref of pipelines of a fork's request: no branch has its name. */
export function refOfFork(number: number): string {
  return `refs/forks/${number}/head`
}

/** Whether a pipeline runs what a stranger has written: it gets nothing that is not for everybody. */
export function isOfFork(pipeline: { ref: string }): boolean {
  return forkRef.test(pipeline.ref)
}
