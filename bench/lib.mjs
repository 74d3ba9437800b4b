// What every measurement needs: processes that are asked over IPC, percentiles, medians over runs, temporary folders.
import { fork } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const here = path.dirname(fileURLToPath(import.meta.url))
/** `--smoke`: every case small enough for a few seconds, to see that it still runs; its figures mean nothing. */
export const smoke = process.argv.includes('--smoke')
export const runs = smoke ? 1 : Number(process.env.RUNS ?? 5)
/** A size of the measurement: what is measured in full, or what shows that the measurement runs. */
export const scaled = (full, small) => (smoke ? small : full)
/** Idle runners on streams. */
export const idleStreams = scaled(Number(process.env.STREAMS ?? 5000), 40)

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
/** Microseconds of CLOCK_MONOTONIC: comparable between the processes of a machine. */
export const nowUs = () => Number(process.hrtime.bigint() / 1000n)
export const cpuUs = () => {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** Microseconds that this process's main thread has run; of the whole process where the kernel does not tell. */
export function mainThreadUs() {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1000
  } catch {
    return cpuUs()
  }
}

export function percentile(samples, p) {
  const sorted = Float64Array.from(samples).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))]
}

/** Median, least and greatest of several runs. */
export function summary(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const median = sorted.length % 2 ? sorted[Math.floor(middle)] : (sorted[middle - 1] + sorted[middle]) / 2
  return { median, min: sorted[0], max: sorted.at(-1) }
}

/** Runs `measure` several times, each giving one number. */
export async function repeat(measure, times = runs) {
  const values = []
  for (let i = 0; i < times; i++) values.push(await measure(i))
  return summary(values)
}

/** A process that answers: `ask(command, arguments)`. `file` is relative to this folder. */
export function child(file, args = [], options = {}) {
  const process_ = fork(path.join(here, file), args, {
    execArgv: options.execArgv ?? [],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  let count = 0
  const waiting = new Map()
  process_.on('message', ({ id, value, error }) => {
    const { resolve, reject } = waiting.get(id)
    waiting.delete(id)
    if (error) reject(new Error(error))
    else resolve(value)
  })
  process_.on('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`${file} ended with ${code}`))
  })
  return {
    ask: (command, input = {}) =>
      new Promise((resolve, reject) => {
        waiting.set(++count, { resolve, reject })
        process_.send({ id: count, command, input })
      }),
    stop: () =>
      new Promise((resolve) => {
        if (process_.exitCode !== null || process_.signalCode !== null) {
          resolve()
          return
        }
        process_.once('exit', resolve)
        process_.kill('SIGKILL')
      }),
  }
}

/** In the child: answers commands. */
export function serve(commands) {
  const answer = async ({ id, command, input }) => {
    try {
      process.send({ id, value: (await commands[command](input)) ?? null })
    } catch (error) {
      process.send({ id, error: String(error?.stack ?? error) })
    }
  }
  process.on('message', (message) => void answer(message))
  process.on('disconnect', () => process.exit(0))
}

/** Resident memory in bytes, after what can be collected has been. */
export async function residentBytes() {
  for (let i = 0; i < 4; i++) {
    globalThis.gc?.()
    await sleep(120)
  }
  return process.memoryUsage().rss
}

/** A port of 127.0.0.1 that nobody listens on. */
export function freePort() {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })
}

/** Calls `use` with a folder that is gone afterwards. */
export async function inFolder(use) {
  const folder = mkdtempSync(path.join(process.env.BENCH_DIR ?? os.tmpdir(), 'signalbox-bench-'))
  try {
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  }
}
