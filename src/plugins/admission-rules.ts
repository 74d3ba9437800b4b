/** The admission rules of the plugins, as the core asks them. */
import type { AdmissionRequest, AdmissionRules, AdmissionVerdict, Decision } from '../core/admission.js'
import { asAdmission } from './answers.js'
import type { Plugin } from './plugin.js'

/** All rules are asked at the same time, so this is what a job waits at the most. */
const deadlineMs = 500
/** A rule that gives no answer and fails closed is asked again after so long. */
const askAgainS = 10

/** The rules of `plugins`, which may come and go. */
export function admissionRules(plugins: () => readonly Plugin[]): AdmissionRules {
  const asked = () => plugins().filter(hasRules)
  return {
    applies: () => asked().length > 0,
    ask: async (request) => (await Promise.all(asked().map((plugin) => askPlugin(plugin, request)))).flat(),
  }
}

/** Also one that is not there for now, if jobs are to wait for it. */
function hasRules(plugin: Plugin): boolean {
  if (plugin.hooks.admissions.length > 0) return true
  const away = plugin.state === 'failed' || plugin.state === 'loading'
  return away && plugin.admission.failClosed && plugin.kinds.includes('admission')
}

function askPlugin(plugin: Plugin, request: AdmissionRequest): Promise<Decision[]> {
  const { admissions } = plugin.hooks
  const { dryRun } = plugin.admission
  if (admissions.length === 0) {
    return Promise.resolve([{ ...instead(plugin, plugin.lastError ?? 'it is not set up'), rule: plugin.id, dryRun }])
  }
  return Promise.all(
    admissions.map(async ({ name, hook }): Promise<Decision> => {
      const ask = () => hook(structuredClone(request))
      const answer = await plugin.fence.call(`admit ${name}`, ask, asAdmission, { deadlineMs })
      const rule = `${plugin.id}/${name}`
      return { ...(answer.ok ? answer.value : instead(plugin, answer.error.message)), rule, dryRun }
    }),
  )
}

/** What counts where no answer came. */
function instead({ admission }: Plugin, why: string): AdmissionVerdict & { failed: string } {
  if (!admission.failClosed) return { verdict: 'admit', failed: why }
  return { verdict: 'hold', reason: `the rule gives no answer: ${why}`, seconds: askAgainS, failed: why }
}
