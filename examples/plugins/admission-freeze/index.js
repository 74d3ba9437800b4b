import { definePlugin, PluginConfigError } from 'signalbox/plugin'

/** Nobody is held longer without being asked again: the configuration may have changed. */
const longestSeconds = 3600

export default definePlugin({
  id: 'admission.freeze',
  apiVersion: 1,
  config({ from, until, refs = ['main'], ...more }) {
    for (const key of Object.keys(more)) throw new PluginConfigError(key, 'unknown key')
    if (!Array.isArray(refs) || !refs.every((ref) => typeof ref === 'string')) {
      throw new PluginConfigError('refs', 'must be a list of branches and tags')
    }
    const freeze = { from: momentOf('from', from), until: momentOf('until', until), refs }
    if (freeze.until <= freeze.from) throw new PluginConfigError('until', 'must be later than from')
    return freeze
  },
  setup(host, { from, until, refs }) {
    host.admit('freeze', ({ job, now }) => {
      if (!refs.includes(job.ref) || now < from || now >= until) return { verdict: 'admit' }
      host.metrics.count('held')
      const seconds = Math.min(longestSeconds, Math.max(1, Math.ceil((until - now) / 1000)))
      return { verdict: 'hold', reason: `Jobs of ${job.ref} wait until ${new Date(until).toISOString()}.`, seconds }
    })
  },
})

/**
 * Milliseconds since 1970.
 *
 * @param {string} key
 * @param {unknown} value
 */
function momentOf(key, value) {
  const moment = typeof value === 'string' ? Date.parse(value) : Number.NaN
  if (Number.isNaN(moment)) throw new PluginConfigError(key, 'must be a moment such as "2026-12-24T00:00:00Z"')
  return moment
}
