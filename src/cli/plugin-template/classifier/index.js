import { definePlugin, schema } from 'signalbox/plugin'

export default definePlugin({
  id: 'classifier.NAME',
  apiVersion: 1,
  config: schema.table({
    /** A text that a line near the end of the log contains. */
    contains: schema.text({ default: 'ETIMEDOUT' }),
  }),
  setup(host, { contains }) {
    host.classify('NAME', ({ traceTail }) => {
      const line = traceTail.split('\n').findLast((one) => one.includes(contains))
      // Nothing: the next classifier is asked.
      if (line === undefined) return undefined
      host.metrics.count('matches')
      return {
        reason: 'script_failure',
        class: 'dependency',
        retryable: true,
        confidence: 0.9,
        explanation: 'Something that the job needs over the network did not answer.',
        lines: [line],
      }
    })
  },
})
