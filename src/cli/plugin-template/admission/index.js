import { definePlugin, schema } from 'signalbox/plugin'

export default definePlugin({
  id: 'admission.NAME',
  apiVersion: 1,
  config: schema.table({
    /** Jobs of these branches and tags wait. */
    refs: schema.list(schema.text(), { default: [] }),
    /** Until this moment. */
    until: schema.text({ pattern: /^\d{4}-\d\d-\d\dT/, hint: 'a moment such as "2030-01-01T00:00:00Z"' }),
  }),
  setup(host, { refs, until }) {
    const end = Date.parse(until)
    host.admit('NAME', ({ job, now }) => {
      if (!refs.includes(job.ref) || now >= end) return { verdict: 'admit' }
      host.metrics.count('held')
      // Asked again then, and at least once an hour.
      const seconds = Math.min(3600, Math.max(1, Math.ceil((end - now) / 1000)))
      return { verdict: 'hold', reason: `Jobs of ${job.ref} wait until ${until}.`, seconds }
    })
  },
})
