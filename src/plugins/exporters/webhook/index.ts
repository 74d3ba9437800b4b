/**
 * The webhook exporter: posts events to an address of the operator's, signed, in their order. What is not taken comes again
 * with the feed's waits, and nothing behind it is sent before.
 */
import { createHmac } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { definePlugin, type ExportedEvent, PluginConfigError, schema } from '../../sdk.js'

/** Below the 2 s in which a batch must be taken in. */
const timeoutMs = 1800
const shortestSecret = 16

const config = schema.table({
  url: schema.text({ pattern: /^https?:\/\/\S+$/, hint: 'an address' }),
  secret_file: schema.text({ pattern: /^\//, hint: 'the whole path of a file' }),
  kinds: schema.list(schema.text(), { default: [] }),
  headers: schema.map(schema.text(), { default: {} }),
})

export default definePlugin({
  id: 'exporter.webhook',
  apiVersion: 1,
  config: schema.optional(config),
  async setup(host, configured) {
    if (!configured) return undefined
    const { url, kinds, headers } = configured
    const secret = (await readFile(configured.secret_file, 'utf8')).trim()
    if (secret.length < shortestSecret) {
      throw new PluginConfigError('secret_file', `must hold a secret of at least ${shortestSecret} characters`)
    }
    const wanted = new Set(kinds)
    host.export('webhook', {
      async onEvents(events: ExportedEvent[]) {
        const told = wanted.size === 0 ? events : events.filter(({ kind }) => wanted.has(kind))
        const [first, last] = [told[0], told.at(-1)]
        if (!first || !last) return
        const body = JSON.stringify({ events: told })
        const id = `${first.id}-${last.id}`
        const answer = await fetch(url, {
          method: 'POST',
          headers: { ...headers, 'content-type': 'application/json', ...signed(secret, id, host.now(), body) },
          body,
          redirect: 'manual',
          signal: AbortSignal.any([host.signal, AbortSignal.timeout(timeoutMs)]),
        })
        await answer.body?.cancel()
        if (!answer.ok) throw new Error(`${new URL(url).host} answers ${answer.status}`)
      },
    })
    return undefined
  },
})

/**
 * Headers by which the receiver knows who has sent the message, when, and whether it has had it. `now` in milliseconds.
 * Form: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function signed(secret: string, id: string, now: number, body: string): Record<string, string> {
  const seconds = Math.floor(now / 1000)
  const signature = createHmac('sha256', secret).update(`${id}.${seconds}.${body}`).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': String(seconds), 'webhook-signature': `v1,${signature}` }
}
