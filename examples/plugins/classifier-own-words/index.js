import { definePlugin, schema } from 'signalbox/plugin'

const pattern = schema.table({
  /** A text that a line of the log contains. */
  contains: schema.text(),
  /** What people are told then. */
  explanation: schema.text(),
  /** Whose fault it is. */
  class: schema.choice(['script', 'config', 'dependency', 'capacity', 'unknown'], { default: 'script' }),
  /** Whether trying again is likely to help. */
  retryable: schema.flag({ default: false }),
})

export default definePlugin({
  id: 'classifier.own-words',
  apiVersion: 1,
  config: schema.table({ patterns: schema.list(pattern) }),
  setup(host, { patterns }) {
    host.classify('own-words', (evidence) => {
      const found = patterns.find((pattern) => evidence.traceTail.includes(pattern.contains))
      if (!found) return undefined
      host.metrics.count('matches', { class: found.class })
      const { class: failureClass, retryable, explanation } = found
      return { reason: 'script_failure', class: failureClass, retryable, explanation }
    })
  },
})
