/**
 * What other nodes tell by NOTIFY (https://www.postgresql.org/docs/current/sql-notify.html), on a connection of its own. What
 * is told while it is away is lost, so whoever hears is told of each gap.
 */
import pg from 'pg'
import { asFault } from '../as-fault.js'
import type { Hearing } from './write.js'

/** Each database has its own channels, so one name serves every installation. */
export const channel = 'signalbox'

const firstRetryMs = 100
const longestRetryMs = 5000
const connectWithinMs = 10_000
/** A server that is gone without a word is found out by asking. */
const askEveryMs = 15_000

/** Hears until the function that it returns is called; that resolves when the connection is closed. */
export function hearOn(
  { url, report }: { url: string; report: (error: unknown, what: string) => void },
  hearing: Hearing,
): () => Promise<void> {
  const ear = new Ear(url, report, hearing)
  const over = ear.run().catch(asFault)
  return () => {
    ear.stop()
    return over
  }
}

class Ear {
  readonly #url: string
  readonly #report: (error: unknown, what: string) => void
  readonly #hearing: Hearing
  #isStopped = false
  /** It is away, and that was said. */
  #isAway = false
  /** Ends what is waited for. */
  #wake: () => void = () => {}

  constructor(url: string, report: (error: unknown, what: string) => void, hearing: Hearing) {
    this.#url = url
    this.#report = report
    this.#hearing = hearing
  }

  stop(): void {
    this.#isStopped = true
    this.#wake()
  }

  async run(): Promise<void> {
    for (let retryMs = firstRetryMs; !this.#isStopped; retryMs = Math.min(2 * retryMs, longestRetryMs)) {
      const began = performance.now()
      await this.#hear()
      // One that held for a while is gone for a reason that has nothing to do with the last.
      if (performance.now() - began > longestRetryMs) retryMs = firstRetryMs
      if (!this.#isStopped) await this.#pause(retryMs)
    }
  }

  /** One connection, from its beginning to its end. Never rejects. */
  async #hear(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.#url,
      keepAlive: true,
      connectionTimeoutMillis: connectWithinMs,
      query_timeout: connectWithinMs,
      application_name: 'signalbox hearing',
    })
    let isOver = false
    const over = () => {
      isOver = true
      this.#wake()
    }
    client.on('error', over).on('end', over)
    client.on('notification', ({ payload }) => this.#guard(() => this.#hearing.heard(payload ?? '')))
    try {
      await client.connect()
      await client.query(`listen ${channel}`)
      this.#isAway = false
      this.#guard(() => this.#hearing.missed())
      while (!isOver && !this.#isStopped) {
        await this.#pause(askEveryMs)
        if (!isOver && !this.#isStopped) await client.query('select 1')
      }
    } catch (error) {
      if (!this.#isStopped && !this.#isAway) this.#report(error, 'hearing other nodes')
      this.#isAway = true
    }
    await client.end().catch(() => undefined)
  }

  #guard(effect: () => void): void {
    try {
      effect()
    } catch (error) {
      this.#report(error, 'hearing other nodes')
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      timer.unref()
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
