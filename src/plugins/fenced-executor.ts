/** A configured executor as a runner uses it: inputs are copies, answers are checked, output has an end and a bound. */
import { asCapabilities, asNothing, asPrepareResult, asRunResult } from './answers.js'
import type { Answer, CallOptions } from './fence.js'
import type { Plugin } from './plugin.js'
import type { Executor, ExecutorFacts, ExecutorRunner, PrepareInput, RunInput } from './sdk.js'

/** `cleanUp`, and `cancel` beyond its grace, take no longer. */
const deadlineMs = 30_000
/** A new job waits so long for a process that is started again. */
const restartMs = 60_000
/** Output that a plugin hands over without waiting for it to be taken. */
const untakenBytes = 8 * 1024 * 1024

/**
 * The executor behind the fence. `prepare` and `run` have no deadline here: the job's timeout is theirs. A job in hand is
 * not refused because earlier ones went wrong, so the breaker has no part in it. A call that fails rejects.
 */
export function fencedExecutor(plugin: Pick<Plugin, 'fence' | 'whenUp'>, name: string, executor: Executor): Executor {
  const { fence } = plugin
  const capabilities = async (facts: ExecutorFacts) => {
    const ask = () => executor.capabilities(structuredClone(facts))
    const answer = await fence.call(`capabilities of ${name}`, ask, asCapabilities, { deadlineMs })
    // The coordinator asks its own half: a runner that cannot say it now is no reason not to start.
    return answer.ok ? answer.value : []
  }
  return executor.runner ? { capabilities, runner: fencedRunner(plugin, executor.runner) } : { capabilities }
}

function fencedRunner(plugin: Pick<Plugin, 'fence' | 'whenUp'>, runner: ExecutorRunner): ExecutorRunner {
  const call = async <T>(what: string, make: () => unknown, read: (value: unknown) => T, options?: CallOptions) =>
    unwrap(await plugin.fence.call(what, make, read, { breaks: false, ...options }))
  return {
    prepare: async (input: PrepareInput, output) => {
      // A job that comes while the process is started again would fail for what another has met.
      await plugin.whenUp(restartMs)
      const sink = boundedSink(output)
      try {
        return await call(
          'prepare',
          () => runner.prepare(structuredClone(input), (chunk) => sink.take(chunk)),
          asPrepareResult,
        )
      } finally {
        sink.shut()
      }
    },
    run: async (input: RunInput, output) => {
      const sink = boundedSink(output)
      try {
        return await call('run', () => runner.run(structuredClone(input), (chunk) => sink.take(chunk)), asRunResult)
      } finally {
        sink.shut()
      }
    },
    cancel: (input) =>
      call('cancel', () => runner.cancel(structuredClone(input)), asNothing, {
        deadlineMs: input.graceMs + deadlineMs,
      }),
    cleanUp: (input) => call('cleanUp', () => runner.cleanUp(structuredClone(input)), asNothing, { deadlineMs }),
  }
}

function boundedSink(output: (chunk: Uint8Array) => Promise<void>) {
  let open = true
  let untaken = 0
  const take = async (chunk: Uint8Array) => {
    if (!open) throw new Error('the script has ended: it can have no more output')
    if (!(chunk instanceof Uint8Array)) throw new TypeError('output takes bytes (Uint8Array)')
    if (untaken + chunk.byteLength > untakenBytes && untaken > 0) {
      throw new Error('too much output at once: wait for output() before the next chunk')
    }
    untaken += chunk.byteLength
    try {
      // A copy: the plugin may use its buffer again.
      await output(Uint8Array.from(chunk))
    } finally {
      untaken -= chunk.byteLength
    }
  }
  return {
    take(chunk: Uint8Array): Promise<void> {
      const taken = take(chunk)
      // Who does not wait for it does not hear of it either, and a rejection nobody hears of would end the process.
      taken.catch(() => undefined)
      return taken
    },
    shut() {
      open = false
    },
  }
}

function unwrap<T>(answer: Answer<T>): T {
  if (answer.ok) return answer.value
  throw answer.error
}
