/**
 * Admission: may this job go to the runner that was found for it, now? Rules of plugins are asked after the match, outside
 * any transaction; what they are asked and say is here, since core, plugins and their authors speak of the same.
 */

/** A job that a runner was found for, and what is known of both. */
export interface AdmissionRequest {
  /** The job that may start. */
  job: {
    /** The job's id. */
    id: number
    /** As the configuration has it. */
    name: string
    /** As the configuration has it. */
    stage: string
    /** `group/project`. */
    projectPath: string
    /** Branch or tag. */
    ref: string
    /** The ref is protected. */
    protected: boolean
    /** Tags that the job asks of its runner. */
    tags: string[]
    /** Milliseconds since 1970 when it became pending. */
    queuedAt: number
  }
  /** The runner that was found for it. */
  runner: {
    /** The runner's id. */
    id: number
    /** What its owner calls it. */
    description: string
    /** Whose jobs it takes: everybody's, a group's, or some projects'. */
    type: 'instance' | 'group' | 'project'
    /** Its tags. */
    tags: string[]
  }
  /** Jobs that have a runner, or were asked about before this one and may get one: everywhere, and in its project. */
  running: { all: number; project: number }
  /** Milliseconds since 1970 by the node's clock. */
  now: number
}

/**
 * What an admission rule says. `refuse` ends the job as failed (class `policy`), with `reason` shown; `hold` leaves it in
 * the queue, and the rule is asked again after `seconds` (1 to 86,400).
 */
export type AdmissionVerdict =
  | { verdict: 'admit' }
  | { verdict: 'refuse'; reason: string }
  | { verdict: 'hold'; reason: string; seconds: number }

/** What one rule has said of one job. */
export type Decision = AdmissionVerdict & {
  /** `PLUGIN/NAME`. */
  rule: string
  /** It is written down, and not followed. */
  dryRun: boolean
  /** Why the rule has given no answer; what stands here then is what the operator wants in that case. */
  failed?: string
}

/** The rules of a node. */
export interface AdmissionRules {
  /** Whether any rule is in force. */
  applies(): boolean
  /** Asks them all at the same time. Takes half a second at the most, and never rejects. */
  ask(request: AdmissionRequest): Promise<Decision[]>
}

/** Returns why it refuses or holds; empty for what admits. */
export function reasonOf(decision: Decision): string {
  return 'reason' in decision ? decision.reason : ''
}

/** What is to be done by all decisions together: one refusal refuses, else the longest hold holds. */
export function verdictOf(decisions: readonly Decision[]): Decision | undefined {
  const followed = decisions.filter(({ dryRun }) => !dryRun)
  const refusal = followed.find(({ verdict }) => verdict === 'refuse')
  if (refusal) return refusal
  const seconds = (one: Decision) => (one.verdict === 'hold' ? one.seconds : 0)
  return followed.filter(({ verdict }) => verdict === 'hold').toSorted((a, b) => seconds(b) - seconds(a))[0]
}
