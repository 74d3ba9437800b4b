/** Writes the log of a job: sections, colours and masked values. */
import type { Spool } from '../spool.js'
import { SecretMasker, TokenMasker } from './masker.js'
import { unlessPulled } from './time.js'

// The colours of GitLab Runner's log: `helpers/ansi_colors.go`.
const reset = '\x1b[0;m'
const clear = '\x1b[0K'
const boldRed = '\x1b[31;1m'
const boldGreen = '\x1b[32;1m'
const boldCyan = '\x1b[36;1m'
const yellow = '\x1b[0;33m'

/**
 * The log of one job: masks what must not be seen and appends the rest to the spool, in the look that readers of GitLab
 * Runner's logs know. Bytes are taken as they are; nothing else is changed.
 */
export class JobLog {
  readonly #filters: [SecretMasker, TokenMasker]
  /** Set when the job is being stopped: what its dying processes still say is small, and nobody must wait for room. */
  #unbounded = new AbortController()

  #remarkedAt = 0

  constructor(
    private readonly spool: Spool,
    private readonly options: { secrets: readonly string[]; tokenPrefixes: readonly string[]; sections: boolean },
    private readonly now: () => number = Date.now,
  ) {
    this.#filters = [new SecretMasker(options.secrets), new TokenMasker(options.tokenPrefixes)]
  }

  /** Takes a job's output. Wait for the promise before handing over more: it holds while the spool is full. */
  async output(chunk: Uint8Array): Promise<void> {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    if (!this.spool.full || this.#unbounded.signal.aborted) {
      this.#append(bytes)
      return
    }
    // The lines that have begun are ended first, so that the remark stands between lines.
    const end = bytes.lastIndexOf(0x0a) + 1
    this.#append(bytes.subarray(0, end))
    // A slow coordinator may bring this about again and again; the remark is for people.
    if (this.now() - this.#remarkedAt > remarkEveryMs) {
      this.#remarkedAt = this.now()
      this.warning('output paused: the coordinator has not taken what was written before')
    }
    await unlessPulled(this.#unbounded.signal, this.spool.room())
    this.#append(bytes.subarray(end))
  }

  /** From now on output does not wait for room. */
  stopWaiting(): void {
    this.#unbounded.abort()
  }

  /** Output waits for room again. */
  waitAgain(): void {
    this.#unbounded = new AbortController()
  }

  plain(text: string): void {
    this.#text(`${clear}${text}${reset}\n`)
  }

  notice(text: string): void {
    this.#text(`${boldGreen}${text}${reset}\n`)
  }

  warning(text: string): void {
    this.#text(`${yellow}WARNING: ${text}${reset}\n`)
  }

  error(text: string): void {
    this.#text(`${boldRed}ERROR: ${text}\n${reset}`)
  }

  /** Runs `body` inside a section that the reader can fold. */
  async section<T>(name: string, title: string, body: () => Promise<T>): Promise<T> {
    this.#marker('start', name)
    this.plain(`${boldCyan}${title}${reset}`)
    try {
      return await body()
    } finally {
      this.flush()
      this.#marker('end', name)
    }
  }

  /** Writes what the masks still hold back. */
  flush(): void {
    const [secrets, tokens] = this.#filters
    this.spool.append(tokens.push(secrets.end()))
    this.spool.append(tokens.end())
  }

  #marker(edge: 'start' | 'end', name: string): void {
    if (this.options.sections) this.#text(`section_${edge}:${Math.floor(this.now() / 1000)}:${name}\r${clear}`)
  }

  #text(text: string): void {
    this.#append(Buffer.from(text))
  }

  #append(bytes: Buffer): void {
    const [secrets, tokens] = this.#filters
    this.spool.append(tokens.push(secrets.push(bytes)))
  }
}

const remarkEveryMs = 10_000
