/** Figures of this process, under the names that Prometheus' own clients use, and the delay of the event loop. */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import type { Gauge } from '../../sdk.js'

const resolutionMs = 20
const quantiles = [0.5, 0.9, 0.99, 1]

export class ProcessFigures {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: resolutionMs })
  readonly #startedAt = performance.timeOrigin / 1000
  #delays = quantiles.map(() => 0)

  start(): void {
    this.#delay.enable()
  }

  /** Safe to repeat. */
  stop(): void {
    this.#delay.disable()
  }

  /** The figures now; the delays are those since the last look. */
  read(): Gauge[] {
    const { user, system } = process.cpuUsage()
    return [
      gauge('process_start_time_seconds', 'Start of the process, in seconds since 1970.', this.#startedAt),
      { ...gauge('process_cpu_seconds_total', 'Processor time used.', (user + system) / 1e6), type: 'counter' },
      gauge('process_resident_memory_bytes', 'Memory in use.', process.memoryUsage.rss()),
      {
        name: 'signalbox_event_loop_delay_seconds',
        help: 'How late the event loop was since the last look.',
        values: this.#readDelays().map((value, at) => ({
          labels: { percentile: String(quantiles[at]! * 100) },
          value,
        })),
      },
    ]
  }

  #readDelays(): number[] {
    if (this.#delay.count > 0) {
      // The histogram holds the time between two looks of a timer, which is its interval without any delay.
      this.#delays = quantiles.map((quantile) => {
        const ms = this.#delay.percentile(quantile * 100) / 1e6 - resolutionMs
        return Math.max(0, ms) / 1000
      })
      this.#delay.reset()
    }
    return this.#delays
  }
}

function gauge(name: string, help: string, value: number): Gauge {
  return { name, help, values: [{ labels: {}, value }] }
}
