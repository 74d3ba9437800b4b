/** What classifiers are asked with, and what they answer. Part of the surface for authors of plugins. */

/** Whose fault a failure was, in broad terms. */
export type FailureClass =
  | 'script'
  | 'config'
  | 'image'
  | 'dependency'
  | 'capacity'
  | 'interrupted'
  | 'runner_lost'
  | 'timeout_job'
  | 'timeout_idle'
  | 'policy'
  | 'canceled'
  | 'internal'
  | 'unknown'

/** An earlier run of the same job in its pipeline. */
export interface EarlierAttempt {
  /** Its id: each run of a job has one of its own. */
  jobId: number
  /** How it ended: `failed`, `success`, `canceled` or `skipped`. */
  status: string
  /** The failure reason; null for one that did not fail. */
  reason: string | null
  /** The failure class; null where nobody has said. */
  class: string | null
  /** Of its script; null if it had none, or none was told. */
  exitCode: number | null
  /** Null if it never had a runner. */
  runnerId: number | null
}

/** What is known about a job that has failed, for classifiers. */
export interface Evidence {
  /** The job: its id, its name and stage as the configuration has them, and `group/project`. */
  job: { id: number; name: string; stage: string; projectPath: string }
  /** The reason that the runner gave, under GitLab's names; empty if none. */
  runnerReason: string
  /** What the runner said in words. */
  message: string
  /** Of the script, 0 to 255; null if it had none, or none was told. */
  exitCode: number | null
  /** The name of the signal that ended the script, such as `SIGKILL`, where the exit code is one of a signal. */
  signal: string | null
  /** The end of the trace, at most 64 KiB of text; empty where it is not at hand. */
  traceTail: string
  /** The name of the runner’s executor, such as `docker`; empty where it is not known. */
  executor: string
  /** What the runner says of itself: `platform`, `architecture`, `version`, `revision`; empty where it is not known. */
  facts: Record<string, string>
  /** Earlier runs of the same job in its pipeline, the newest first, at most 10. */
  attempts: EarlierAttempt[]
  /** The coordinator was started, or came back after it had not run, while the job ran, and not long before its end. */
  coordinatorWasAway?: boolean
}

/** What a classifier makes of the evidence. */
export interface Verdict {
  /** A failure reason of the product's list, such as `script_failure`. */
  reason: string
  /** Whose fault it was, in broad terms. */
  class: FailureClass
  /** Whether trying again is likely to help. */
  retryable: boolean
  /** How sure the classifier is, from 0 to 1; 1 if it is missing. Verdicts under the threshold of the configuration give way. */
  confidence?: number
  /** One sentence for people: what happened, and what to look at. */
  explanation: string
  /** Lines of the log that show it, at most 5 of 300 characters. */
  lines?: string[]
  /** Which of its rules decided, where the classifier has many: letters, digits, `_`, `.` and `-`, at most 64. */
  rule?: string
}

/** A verdict with who gave it. */
export interface Judgment extends Verdict {
  /** The id of the plugin and its classifier's name if that is another, with the rule: `classifier.mine/second (rule)`. */
  by: string
}
