/** What a runner says of itself with a poll, a verification or an update: `info` and `system_id`. */
import type { Door } from '../../core/lease.js'
import { legacySystemId, type ManagerInfo } from '../../core/runner.js'
import { type Params, wrongParameter } from '../../http/params.js'

const longestText = 255
const mostFeatures = 200
const systemId = /^[\x21-\x7e]{1,64}$/
const featureName = /^[a-z0-9_]{1,64}$/

/** `ipAddress`: where the request came from. Throws `invalid` for texts that are too long or no texts. */
export function fromInfo(params: Params, ipAddress: string | null): ManagerInfo {
  const info = params.map('info')
  const text = (name: string) => info?.text(name, { max: longestText }) ?? ''
  return {
    systemId: systemIdOf(params),
    name: text('name'),
    version: text('version'),
    revision: text('revision'),
    platform: text('platform'),
    architecture: text('architecture'),
    executor: text('executor'),
    features: featuresOf(info?.map('features')),
    ipAddress,
    ...(info ? {} : { silent: true }),
  }
}

/** The manager that the request names; runners that send no `system_id` are filed under one name. */
function systemIdOf(params: Params): string {
  const id = params.text('system_id')
  if (id === undefined || id === '') return legacySystemId
  if (!systemId.test(id)) throw wrongParameter('system_id')
  return id
}

/** The features that hold, sorted, so that equal ones are equal as text. */
function featuresOf(features: Params | undefined): string[] {
  if (!features) return []
  return features
    .keys()
    .filter((name) => featureName.test(name) && isTrue(features.raw(name)))
    .sort()
    .slice(0, mostFeatures)
}

function isTrue(value: unknown): boolean {
  return value === true || value === 'true'
}

/**
 * How the one who polls will behave: it accepts offers by itself, or takes a job with the poll; a request without
 * features was made by hand.
 */
export function doorOf(params: Params): Door {
  const features = params.map('info')?.map('features')
  if (!features) return 'rest_by_hand'
  return isTrue(features.raw('two_phase_job_commit')) ? 'rest_two_phase' : 'rest'
}
