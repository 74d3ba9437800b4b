/** Statuses: each has its word, its shape and its colour, so that any one of them is enough. */

interface Look {
  /** The class that gives the colour. */
  tone: 'good' | 'bad' | 'warn' | 'busy' | 'wait' | 'ask' | 'none'
  word: string
  /** Inside of a box of 16 by 16. */
  shape: string
}

const ring = 'M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13z'

const looks: Readonly<Record<string, Look>> = {
  success: { tone: 'good', word: 'passed', shape: `${ring} M4.8 8.2l2.2 2.2l4.2-4.6` },
  failed: {
    tone: 'bad',
    word: 'failed',
    shape: 'M5 1.5h6l3.5 3.500v6l-3.5 3.500h-6l-3.5-3.500v-6z M5.5 5.500l5 5 M10.5 5.500l-5 5',
  },
  warning: { tone: 'warn', word: 'failed, allowed', shape: 'M8 1.800l6.7 12h-13.400z M8 6v3.8 M8 11.600v.4' },
  running: { tone: 'busy', word: 'running', shape: 'M8 1.500a6.5 6.5 0 1 1-6.5 6.5' },
  pending: { tone: 'wait', word: 'pending', shape: `${ring} M8 4.200v4l2.6 1.8` },
  waiting_for_resource: { tone: 'wait', word: 'waits for its resource', shape: `${ring} M5 8h6` },
  waiting_for_callback: { tone: 'wait', word: 'waits for a callback', shape: `${ring} M5 8h.5 M7.8 8h.4 M10.5 8h.5` },
  preparing: { tone: 'wait', word: 'preparing', shape: `${ring} M8 4.200v4` },
  manual: { tone: 'ask', word: 'manual', shape: `${ring} M6.5 5v6l4.5-3z` },
  scheduled: { tone: 'ask', word: 'delayed', shape: `${ring} M8 4.500v3.500h3` },
  canceled: { tone: 'none', word: 'canceled', shape: `${ring} M3.6 12.400l8.8-8.8` },
  canceling: { tone: 'none', word: 'being canceled', shape: `${ring} M3.6 12.400l8.8-8.8` },
  skipped: {
    tone: 'none',
    word: 'skipped',
    shape: `${ring} M5 5.500l2.5 2.500l-2.5 2.5 M8.5 5.500l2.5 2.500l-2.5 2.5`,
  },
  created: { tone: 'none', word: 'not yet', shape: 'M8 1.500a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13z' },
}

/** The look of a status; `allowed`: its failure does not count. */
export function lookOf(status: string, allowed = false): Look {
  const name = status === 'failed' && allowed ? 'warning' : status
  return looks[name] ?? { tone: 'none', word: status, shape: ring }
}

interface StatusProps {
  status: string
  allowed?: boolean
  /** Only the shape is seen; the word is read out. */
  bare?: boolean
}

/** A status as shape, colour and word. */
export function Status({ status, allowed = false, bare = false }: StatusProps) {
  const { tone, word, shape } = lookOf(status, allowed)
  return (
    <span class={`status ${tone}${status === 'running' ? ' turning' : ''}`} title={bare ? word : undefined}>
      <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
        <path d={shape} />
      </svg>
      <span class={bare ? 'unseen' : 'word'}>{word}</span>
    </span>
  )
}

const order = [
  'failed',
  'canceling',
  'running',
  'waiting_for_resource',
  'waiting_for_callback',
  'pending',
  'preparing',
  'manual',
  'scheduled',
  'warning',
  'created',
  'canceled',
  'skipped',
  'success',
]

/** The status that says most of several jobs: the worst. */
export function worstOf(jobs: readonly { status: string; allow_failure: boolean }[]): {
  status: string
  allowed: boolean
} {
  const rank = (job: (typeof jobs)[number]) =>
    order.indexOf(job.status === 'failed' && job.allow_failure ? 'warning' : job.status)
  const [worst] = [...jobs].sort((a, b) => rank(a) - rank(b))
  return { status: worst?.status ?? 'created', allowed: worst?.allow_failure ?? false }
}
