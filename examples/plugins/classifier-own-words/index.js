import { definePlugin, PluginConfigError } from 'signalbox/plugin'

/**
 * @typedef {object} Pattern
 * @property {string} contains a text that a line of the log contains
 * @property {string} explanation what people are told then
 * @property {import('signalbox/plugin').FailureClass} class whose fault it is
 * @property {boolean} retryable whether trying again is likely to help
 */

/** @type {readonly Pattern['class'][]} */
const classes = ['script', 'config', 'dependency', 'capacity', 'unknown']

export default definePlugin({
  id: 'classifier.own-words',
  apiVersion: 1,
  config(given) {
    for (const key of Object.keys(given)) if (key !== 'patterns') throw new PluginConfigError(key, 'unknown key')
    const { patterns } = given
    if (!Array.isArray(patterns)) throw new PluginConfigError('patterns', 'must be a list')
    return { patterns: patterns.map(readPattern) }
  },
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

/**
 * @param {import('signalbox/plugin').Json} given
 * @param {number} at
 * @returns {Pattern}
 */
function readPattern(given, at) {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new PluginConfigError(`patterns.${at}`, 'must be a table')
  }
  const { contains, explanation, class: name = 'script', retryable = false, ...more } = given
  const fault = (/** @type {string} */ key, /** @type {string} */ message) =>
    new PluginConfigError(`patterns.${at}.${key}`, message)
  for (const key of Object.keys(more)) throw fault(key, 'unknown key')
  if (typeof contains !== 'string' || contains === '') throw fault('contains', 'must be a text')
  if (typeof explanation !== 'string' || explanation === '') throw fault('explanation', 'must be a text')
  if (typeof retryable !== 'boolean') throw fault('retryable', 'must be true or false')
  const found = classes.find((one) => one === name)
  if (!found) throw fault('class', `must be one of ${classes.join(', ')}`)
  return { contains, explanation, class: found, retryable }
}
