/** The keyword `environment`. */
import type { PlanEnvironment } from '../job-definition.js'
import { limits } from '../limits.js'
import {
  boolean,
  checked,
  choice,
  either,
  keyword,
  mapped,
  type Report,
  record,
  required,
  type Shape,
  text,
} from '../shape.js'
import { duration } from './parts.js'

const allowed = /^[\w\-/${}. ]+$/

function checkName(name: string, report: Report, key?: string): void {
  if (name.trim() === '') report("name can't be blank", key)
  else if (!allowed.test(name) || name.startsWith('/') || name.endsWith('/')) {
    report(
      'name may hold letters, digits, blanks and - _ / $ { } . and may not begin or end with a slash, ' +
        `unlike ${JSON.stringify(name)}`,
      key,
    )
  } else if (name.length > limits.nameCharacters) {
    report(`name is too long: ${limits.nameCharacters} characters at most`, key)
  }
}

const kubernetes = checked(
  record({
    agent: keyword(text(), 'The agent, as path:name.'),
    namespace: keyword(text(), 'The namespace.'),
    flux_resource_path: keyword(text(), 'The resource of Flux.'),
    managed_resources: keyword(record({ enabled: keyword(boolean()) }, { mayBeEmpty: true }), 'Managed resources.'),
    dashboard: keyword(
      record({ namespace: keyword(text()), flux_resource_path: keyword(text()) }, { mayBeEmpty: true }),
      'What the dashboard shows.',
    ),
  }),
  (value, report) => {
    if (value.flux_resource_path !== undefined && value.namespace === undefined) {
      report('flux_resource_path requires namespace', 'flux_resource_path')
    }
    const needsAgent = value.flux_resource_path ?? value.dashboard ?? value.managed_resources
    if (needsAgent !== undefined && value.agent === undefined) report('agent is required', 'agent')
  },
)

/** What `environment` says when it is right. */
export interface Environment {
  plan: PlanEnvironment
  kubernetes?: unknown
}

/** `environment`, a name alone or a map (lib/gitlab/ci/config/entry/environment.rb). */
export const environment = either(
  mapped(text(), (name, report): Environment => {
    checkName(name, report)
    return { plan: { name, action: 'start' } }
  }),
  mapped(
    record({
      name: required(text(), 'Name of the environment.'),
      url: keyword(text({ max: 255 }), 'Where the environment is found.'),
      on_stop: keyword(text(), 'The job that stops it.'),
      action: keyword(choice('start', 'prepare', 'stop', 'verify', 'access'), 'What the job does with it.'),
      auto_stop_in: keyword(autoStop(), 'When it is stopped by itself.'),
      deployment_tier: keyword(
        choice('production', 'staging', 'testing', 'development', 'other'),
        'What kind of environment it is.',
      ),
      kubernetes: keyword(kubernetes, 'The cluster it runs in.'),
    }),
    (value, report): Environment => {
      checkName(value.name, report, 'name')
      const { name, url, on_stop: onStop, deployment_tier: deploymentTier } = value
      // Jobs that stop take it over from those that start (`extends`): for them it means nothing.
      const means = value.action !== 'stop' && value.action !== 'verify'
      const autoStopIn = means ? value.auto_stop_in : undefined
      const plan: PlanEnvironment = {
        name,
        action: value.action ?? 'start',
        ...(url === undefined ? {} : { url }),
        ...(onStop === undefined ? {} : { onStop }),
        ...(autoStopIn === undefined ? {} : { autoStopIn }),
        ...(deploymentTier === undefined ? {} : { deploymentTier }),
      }
      return value.kubernetes === undefined ? { plan } : { plan, kubernetes: value.kubernetes }
    },
  ),
)

/** A duration, or a text with variables that will be one. */
function autoStop(): Shape<string> {
  const plain = duration()
  const check = plain.into as unknown as (value: string, report: Report) => string
  const into = (value: string, report: Report): string => (value.includes('$') ? value : check(value, report))
  return { ...plain, into } as Shape<string>
}
