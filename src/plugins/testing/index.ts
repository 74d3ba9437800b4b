/**
 * `signalbox/plugin/testing`: with it a plugin's own tests run it without a coordinator, and its CI runs the contract suite.
 *
 * @example
 * const plugin = await startPlugin(definition, { config: { level: 3 } })
 * const verdict = await plugin.classify(evidence({ exitCode: 28, traceTail: 'No space left on device\n' }))
 * await plugin.close()
 */
export { checkPlugin } from '../check/check-plugin.js'
export type { CheckOptions, CheckReport, RuleOutcome, RuleReport } from '../check/report.js'
export { recordedEvents } from './recorded-events.js'
export { admissionRequest, evidence, executorFacts, prepareInput, recordedEvidence } from './recorded-inputs.js'
export { type LoggedLine, startPlugin, type TestExecutor, type TestOptions, type TestPlugin } from './test-plugin.js'
