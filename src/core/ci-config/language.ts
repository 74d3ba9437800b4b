/** The face of the language: compiling, planning and coverage, wherever they run. */
import type { CiConfig, CompileOptions, CompileResult } from './compilation.js'
import { compileConfig } from './compile.js'
import { coverageIn } from './coverage.js'
import { type FactsWanted, factsWanted } from './facts-wanted.js'
import { planPipeline } from './plan-pipeline.js'
import type { PlanContext, PlanResult } from './planning.js'

/** What rules find out about files. */
export type RuleFacts = Pick<PlanContext, 'changedPaths' | 'files' | 'comparePaths' | 'projectFiles'>

/** An event, before anybody has looked what its rules ask about files. */
export type PlanEvent = Omit<PlanContext, keyof RuleFacts>

/** Looks up what rules will ask; costs nothing for what none of them mentions. */
export type LookUpFacts = (wanted: FactsWanted) => Promise<RuleFacts>

/**
 * The work that a stranger's file can make long, behind one face: in this thread for a command that reads its user's own
 * file, in threads of their own for a server (`LanguagePool`). `turn` names on whose behalf: whoever asks for much waits
 * behind whoever asks for little.
 */
export interface CiLanguage {
  /** See `compileConfig`. Its configurations are for `plan` of the same object. */
  compile(source: string, options: CompileOptions, turn: string): Promise<CompileResult>
  /** The pipeline that an event makes: see `planPipeline`. */
  plan(config: CiConfig, event: PlanEvent, lookUp: LookUpFacts, turn: string): Promise<PlanResult>
  /** See `coverageIn`. */
  coverage(log: string, pattern: string, turn: string): Promise<number | null>
}

/** The language without threads or limits: for commands, where nobody else waits. */
export const inThisThread: CiLanguage = {
  compile: compileConfig,
  plan: planEvent,
  coverage: async (log, pattern) => coverageIn(log, pattern),
}

/** Plans an event, after looking up what its rules ask about. */
export async function planEvent(config: CiConfig, event: PlanEvent, lookUp: LookUpFacts): Promise<PlanResult> {
  return planPipeline(config, { ...event, ...(await lookUp(factsWanted(config, event))) })
}
