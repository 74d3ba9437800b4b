/** The output of scripts, through named pipes. */
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setImmediate as nextCheck, setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

/**
 * Makes the pipes through which stdout and stderr of a session's scripts come, both in the order in which they were
 * written. They are named pipes because those that Node gives a child are sockets, and on these `> /dev/stderr` and
 * `tee /dev/stderr` fail. Several are made at once and ahead, so that few jobs wait for a process that makes them.
 */
export class OutputPipes {
  #folder: string | undefined
  #made = 0
  #ready: string[] = []
  #making: Promise<void> | undefined

  /** A pipe that nobody else has had. */
  async take(): Promise<string> {
    for (;;) {
      const pipe = this.#ready.shift()
      if (pipe !== undefined) {
        // Whoever takes the next one meets the error.
        if (this.#ready.length === 0) this.#make().catch(() => undefined)
        return pipe
      }
      await this.#make()
    }
  }

  give(pipe: string): void {
    fs.rmSync(pipe, { force: true })
  }

  async close(): Promise<void> {
    await this.#making?.catch(() => undefined)
    this.remove()
  }

  /** What is in the file system, at once. */
  remove(): void {
    if (this.#folder !== undefined) fs.rmSync(this.#folder, { recursive: true, force: true })
    this.#folder = undefined
    this.#ready = []
  }

  /** Those who ask meanwhile wait for the same. */
  #make(): Promise<void> {
    this.#making ??= this.#makeSome().finally(() => {
      this.#making = undefined
    })
    return this.#making
  }

  async #makeSome(): Promise<void> {
    this.#folder ??= fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-output-'))
    const folder = this.#folder
    const pipes = Array.from({ length: pipesAtOnce }, () => path.join(folder, String(++this.#made)))
    await promisify(execFile)('mkfifo', ['-m', '600', ...pipes])
    this.#ready.push(...pipes)
  }
}

const pipesAtOnce = 8

/** Both ends of the pipe, opened for one script. */
export interface OpenPipe {
  /** For the child. */
  readonly writeEnd: number
  /** The child has its copy of the write end: ours is closed, or the end of the output would never be seen. */
  handedOver(): void
  /** Hands everything to `output`, one chunk after the other, until all writers are gone or `finish` ends it. */
  pump(output: (chunk: Uint8Array) => Promise<void>): Promise<void>
  /** The script has ended. What it wrote is still read; what its leftovers hold open is not waited for. */
  finish(): void
  /** Ends the reading at once. */
  destroy(): void
}

export function openOutputPipe(file: string): OpenPipe {
  const { O_RDONLY, O_NONBLOCK, O_WRONLY } = fs.constants
  const readEnd = fs.openSync(file, O_RDONLY | O_NONBLOCK)
  const writeEnd = fs.openSync(file, O_WRONLY)
  const socket = new net.Socket({ fd: readEnd, readable: true, writable: false })
  const handing = { busy: false, chunks: 0 }
  let open = true
  const handedOver = () => {
    if (open) fs.closeSync(writeEnd)
    open = false
  }
  return {
    writeEnd,
    handedOver,
    async pump(output) {
      try {
        for await (const chunk of socket) {
          handing.busy = true
          handing.chunks++
          await output(chunk as Buffer)
          handing.busy = false
        }
      } catch (error) {
        // Our own doing, see finish.
        if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
      }
    },
    finish() {
      drain(socket, handing).catch(() => socket.destroy())
    },
    destroy() {
      handedOver()
      socket.destroy()
    },
  }
}

/**
 * Ends the reading once the pipe is empty, although somebody who has outlived the script may still hold it open. It is
 * empty if nothing came between two looks, at both of which nothing was being handed over. Each look is taken after the
 * event loop has asked the system for input: a process that was starved could otherwise meet the second look with the
 * script's last words still unread.
 */
async function drain(socket: net.Socket, handing: { busy: boolean; chunks: number }): Promise<void> {
  const atExit = socket.bytesRead
  let last = { quiet: false, chunks: 0 }
  while (!socket.destroyed) {
    const now = { quiet: !handing.busy && socket.readableLength === 0, chunks: handing.chunks }
    if (last.quiet && now.quiet && last.chunks === now.chunks) break
    // More than a pipe holds: this is no longer the script's output.
    if (socket.bytesRead - atExit > maxPipeBytes) break
    last = now
    await sleep(idleMs)
    await nextCheck()
  }
  socket.destroy()
}

/** What reads for a script, such as a `tee` behind its output, may end a little after it. */
const idleMs = 1_000
// pipe(7): /proc/sys/fs/pipe-max-size.
const maxPipeBytes = 1024 * 1024
