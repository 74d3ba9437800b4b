/** Runs one program of a driver to its end, or makes an end of it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

/** A program, and what it is given. */
export interface DriverCall {
  file: string
  args: readonly string[]
  env: Readonly<Record<string, string>>
  cwd: string
  stdout: (chunk: Buffer) => Promise<void> | void
  stderr: (chunk: Buffer) => Promise<void> | void
  /** Pulled when it is to end. */
  signal: AbortSignal
  /** Between SIGTERM and SIGKILL, asked when the signal is pulled. */
  graceMs: () => number
  /** After SIGKILL it is waited for so long, and then no more. */
  forceMs: number
}

/** How it ended; `exitCode` is null for a signal, and for one that was not waited for any more. */
export interface DriverEnd {
  exitCode: number | null
  signal: string | null
}

/** Rejects where it cannot be started. It leads a process group, which is what signals go to. */
export async function runDriver(call: DriverCall): Promise<DriverEnd> {
  const child = spawn(call.file, call.args, {
    cwd: call.cwd,
    env: call.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const over = new AbortController()
  const ended = new Promise<DriverEnd>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }))
  })
  const handed = { last: Promise.resolve() }
  const pumps = [pump(child.stdout, call.stdout, handed), pump(child.stderr, call.stderr, handed)]
  const pumped = Promise.all(pumps)
  pumped.catch(() => kill(child, 'SIGKILL'))
  const abandoned = new Promise<DriverEnd>((resolve) => {
    const end = () => {
      makeEnd(child, call, over.signal).then(
        () => resolve({ exitCode: null, signal: 'SIGKILL' }),
        () => undefined,
      )
    }
    if (call.signal.aborted) end()
    else call.signal.addEventListener('abort', end, { once: true, signal: over.signal })
  })
  try {
    const end = await Promise.race([ended, abandoned])
    // What it has left running may hold its output open.
    await Promise.race([pumped, sleep(lastWordsMs, undefined, { signal: over.signal }).catch(() => undefined)])
    child.stdout.destroy()
    child.stderr.destroy()
    await pumped
    return end
  } finally {
    over.abort()
  }
}

const lastWordsMs = 1_000

/** Politely, then by force. Resolves when it is given up; rejects once the program has ended. */
async function makeEnd(child: ChildProcess, call: DriverCall, over: AbortSignal): Promise<void> {
  kill(child, 'SIGTERM')
  await sleep(call.graceMs(), undefined, { signal: over })
  kill(child, 'SIGKILL')
  await sleep(call.forceMs, undefined, { signal: over })
}

/** One chunk after the other, of both streams: a log that cannot take more holds the program back. */
async function pump(
  stream: NodeJS.ReadableStream,
  take: (chunk: Buffer) => Promise<void> | void,
  handed: { last: Promise<void> },
): Promise<void> {
  try {
    for await (const chunk of stream) {
      handed.last = handed.last.then(() => take(chunk as Buffer))
      await handed.last
    }
  } catch (error) {
    // Our own doing, above.
    if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
  }
}

/** The whole group. */
function kill(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // It has ended meanwhile.
  }
}
