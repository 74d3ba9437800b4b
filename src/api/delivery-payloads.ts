/**
 * What forges send, as the core understands it. Only what is needed is looked at; what is missing or odd is told with its
 * place. Shapes: https://docs.github.com/en/webhooks/webhook-events-and-payloads,
 * https://docs.gitlab.com/user/project/integrations/webhook_events/, https://docs.gitea.com/usage/webhooks
 */

import type { DeliveryEvent, Forge, PullRequestSide } from '../core/delivery.js'
import { SignalboxError } from '../core/errors.js'
import type { Json, JsonMap } from '../http/json.js'

/** `event`: the name of the event in the forge's header. Throws `invalid` with the place. */
export function readPayload(forge: Forge, event: string, payload: JsonMap): DeliveryEvent {
  const value = new Payload(payload)
  const read = readers[forge][event]
  if (read) return read(value)
  return {
    kind: 'ignored',
    reason: event === '' ? 'the delivery names no event' : `events of this kind are not used: ${event}`,
  }
}

type Reader = (payload: Payload) => DeliveryEvent

const ping: Reader = () => ({ kind: 'ignored', reason: 'a ping' })

const readers: Record<Forge, Record<string, Reader>> = {
  github: { ping, push, pull_request: (payload) => pullRequest(payload, ['opened', 'reopened', 'synchronize']) },
  gitea: { ping, push, pull_request: (payload) => pullRequest(payload, ['opened', 'reopened', 'synchronized']) },
  gitlab: { 'Push Hook': push, 'Tag Push Hook': push, 'Merge Request Hook': mergeRequest },
  generic: { push: anyPush },
}

/** GitHub, Gitea and GitLab tell of a push alike. */
function push(payload: Payload): DeliveryEvent {
  const ref = payload.ref('ref')
  const [before, after] = [payload.sha('before'), payload.sha('after')]
  if (isZero(after)) return { kind: 'fetch', reason: `${ref} is gone` }
  return { kind: 'push', ref, before, after }
}

/** `ref` in full, or `branch`, or `tag`; the rest may be left out. */
function anyPush(payload: Payload): DeliveryEvent {
  const given = ['ref', 'branch', 'tag'].filter((name) => payload.has(name))
  if (given.length !== 1) throw wrong('', `needs one of ref, branch and tag, and has ${given.join(' and ') || 'none'}`)
  const ref =
    given[0] === 'ref' ? payload.ref('ref') : `refs/${given[0] === 'tag' ? 'tags' : 'heads'}/${payload.name(given[0]!)}`
  const after = payload.has('sha') ? payload.sha('sha') : undefined
  const before = payload.has('before') ? payload.sha('before') : undefined
  if (after !== undefined && isZero(after)) return { kind: 'fetch', reason: `${ref} is gone` }
  return { kind: 'push', ref, ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) }
}

function pullRequest(payload: Payload, starting: readonly string[]): DeliveryEvent {
  const action = payload.text('action')
  if (!starting.includes(action)) return { kind: 'ignored', reason: `nothing to do for the action ${action}` }
  const side = (name: string): PullRequestSide => ({
    repository: payload.text(`pull_request.${name}.repo.full_name`),
    branch: payload.name(`pull_request.${name}.ref`),
    sha: payload.sha(`pull_request.${name}.sha`),
  })
  return requestBetween(payload.number('number'), side('head'), side('base'))
}

/** A change of a merge request that brings no commit has no `oldrev`. */
function mergeRequest(payload: Payload): DeliveryEvent {
  const at = (name: string) => `object_attributes.${name}`
  const action = payload.has(at('action')) ? payload.text(at('action')) : ''
  const starts = action === 'open' || action === 'reopen' || (action === 'update' && payload.has(at('oldrev')))
  if (!starts) return { kind: 'ignored', reason: `nothing to do for the action ${action || '(none)'}` }
  return requestBetween(
    payload.number(at('iid')),
    {
      repository: payload.text(at('source.path_with_namespace')),
      branch: payload.name(at('source_branch')),
      sha: payload.sha(at('last_commit.id')),
    },
    { repository: payload.text(at('target.path_with_namespace')), branch: payload.name(at('target_branch')) },
  )
}

function requestBetween(number: number, source: PullRequestSide, target: PullRequestSide): DeliveryEvent {
  const fork = source.repository !== target.repository
  return { kind: 'pull_request', number, source, target, ...(fork ? { fork } : {}) }
}

const isZero = (sha: string): boolean => /^0+$/.test(sha)
const longestText = 1024

/** Looks values up by their path. */
class Payload {
  readonly #map: JsonMap

  constructor(map: JsonMap) {
    this.#map = map
  }

  has(path: string): boolean {
    const value = this.#find(path)
    return value !== undefined && value !== null
  }

  text(path: string): string {
    const value = this.#find(path)
    if (value === undefined || value === null) throw wrong(path, 'is missing')
    if (typeof value !== 'string' || value === '' || value.length > longestText) throw wrong(path, 'must be a text')
    return value
  }

  /** A name of a branch or tag: whether git would take it is found out when it is looked up. */
  name(path: string): string {
    const name = this.text(path)
    if (/[\p{Cc}\s]/u.test(name) || name.startsWith('-') || name.startsWith('refs/')) {
      throw wrong(path, 'must be the name of a branch or tag')
    }
    return name
  }

  ref(path: string): string {
    const ref = this.text(path)
    if (!/^refs\/(heads|tags)\/[^\p{Cc}\s-][^\p{Cc}\s]*$/u.test(ref)) {
      throw wrong(path, 'must be refs/heads/NAME or refs/tags/NAME')
    }
    return ref
  }

  sha(path: string): string {
    const sha = this.text(path).toLowerCase()
    if (!/^[0-9a-f]{40}$/.test(sha)) throw wrong(path, 'must be a commit id of 40 digits')
    return sha
  }

  number(path: string): number {
    const value = this.#find(path)
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) throw wrong(path, 'must be a number')
    return value
  }

  #find(path: string): Json | undefined {
    let value: Json | undefined = this.#map
    for (const part of path.split('.')) {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
      value = Object.hasOwn(value, part) ? value[part] : undefined
    }
    return value
  }
}

function wrong(path: string, message: string): SignalboxError {
  return new SignalboxError('invalid', `the payload${path === '' ? '' : `'s ${path}`} ${message}`, {
    details: { field: path, message },
  })
}
