/** What the contract suite is told, and what it tells. */

/** How a plugin is checked. */
export interface CheckOptions {
  /** The table `[plugins.config]`; unless told the manifest's `signalbox.example`, else an empty one. */
  config?: Record<string, unknown>
  /** Names of variables of this environment that the plugin's process gets, as `env` of `[[plugins]]`. */
  env?: readonly string[]
  /** Hears of each rule as soon as it is known. */
  onRule?: (report: RuleReport) => void
  /** The script that plays the host in the plugin's process; unless told the one that comes with Signalbox. */
  childScript?: string
}

/** `kept`; `broken`: it fails the check; `advice`: it is not kept, and fails nothing. */
export type RuleOutcome = 'kept' | 'broken' | 'advice'

/** What came of one rule. */
export interface RuleReport {
  /** The rule's name, such as `classifier-answers`. */
  rule: string
  /** What came of it. */
  outcome: RuleOutcome
  /** What the rule asks for; where it is not kept, also what is wrong. */
  message: string
}

/** What came of all rules. */
export interface CheckReport {
  /** The plugin's id; null if it never said. */
  plugin: string | null
  /** Whether no rule is broken. */
  ok: boolean
  /** In the order in which they were asked. Those after one without which nothing goes on are missing. */
  rules: RuleReport[]
}
