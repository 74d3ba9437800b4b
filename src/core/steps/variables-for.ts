/** What people have set for a project, as the variables of one of its jobs or of a pipeline that is being made. */
import type { PlanVariable } from '../ci-config/variables.js'
import { toPlanVariable, variablesThatReach } from '../ci-variable.js'
import type { Core } from '../core.js'
import { projectFacts } from '../store/projects.js'
import { listVariablesAround } from '../store/variables.js'
import type { Reader, Tx } from '../store/write.js'

/** For whom the variables are. */
export interface VariablesForInput {
  projectId: number
  /** Of the pipeline's ref. */
  protected: boolean
  /** The job's environment; null: it has none, or a whole pipeline is meant. */
  environment: string | null
}

/**
 * Weakest first: stronger than a job's YAML, weaker than what a pipeline was started with. Read once in a transaction: all
 * jobs that it queues ask the same.
 */
export function variablesFor(core: Core, from: Reader | Tx, input: VariablesForInput): Promise<PlanVariable[]> {
  if (!('once' in from)) return readVariables(core, from, input)
  const key = `variables for ${input.projectId} ${input.protected} ${input.environment ?? ''}`
  return from.once(key, () => readVariables(core, from, input))
}

async function readVariables(core: Core, from: Reader | Tx, input: VariablesForInput): Promise<PlanVariable[]> {
  const around = await listVariablesAround(from, input.projectId)
  if (around.length === 0) return []
  const groupIds = (await projectFacts(from, input.projectId))?.groupIds ?? []
  return variablesThatReach(around, { ...input, groupIds }).map((one) =>
    toPlanVariable(one, core.keys.open(one.value).toString('utf8')),
  )
}
