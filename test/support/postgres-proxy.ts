/**
 * Stands between a coordinator and PostgreSQL and does what networks do: cuts, refuses, and loses the one message that
 * matters. It reads what the client sends (https://www.postgresql.org/docs/current/protocol-message-formats.html) far
 * enough to know which transaction a COMMIT ends.
 */
import net from 'node:net'

/**
 * What becomes of a COMMIT. `answer`: it is carried out, and the connection cut before its answer. `swallowed`: the same,
 * but the connection stays, silent. `request`: it never arrives, and both sides are cut. `half`: it never arrives, and
 * the server does not learn that the client has gone.
 */
export type Loss = 'answer' | 'swallowed' | 'request' | 'half'

interface Trap {
  loss: Loss
  wanted: RegExp
  sprung: () => void
}

export class PostgresProxy implements AsyncDisposable {
  readonly #target: net.NetConnectOpts
  readonly #links = new Set<Link>()
  readonly #url: URL
  #server: net.Server | undefined
  #port = 0
  #traps: Trap[] = []

  private constructor(url: string) {
    this.#url = new URL(url)
    this.#target = { host: this.#url.hostname, port: Number(this.#url.port) }
  }

  /** `url`: of the real server. */
  static async start(url: string): Promise<PostgresProxy> {
    const proxy = new PostgresProxy(url)
    await proxy.listen()
    return proxy
  }

  /** The same database, through here. */
  get url(): string {
    const url = new URL(this.#url)
    url.hostname = '127.0.0.1'
    url.port = String(this.#port)
    return url.href
  }

  get links(): number {
    return this.#links.size
  }

  /** Takes connections, on the port that it had before. */
  async listen(): Promise<void> {
    const server = net.createServer((client) => {
      const link = new Link(client, net.connect(this.#target), (commit) => this.#lossOf(commit))
      this.#links.add(link)
      void link.ended.then(() => this.#links.delete(link))
    })
    this.#server = server
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve))
    this.#port = (server.address() as net.AddressInfo).port
  }

  /** Cuts every connection and refuses new ones. */
  async refuse(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    const closed = new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()))
    this.cut()
    await closed
  }

  /** Cuts every connection there is. */
  cut(): void {
    for (const link of this.#links) link.cut()
  }

  /** Loses the COMMIT of the next transaction in which a statement like `wanted` is run. Resolves when it has. */
  lose(loss: Loss, wanted: RegExp): Promise<void> {
    return new Promise((sprung) => this.#traps.push({ loss, wanted, sprung }))
  }

  #lossOf(statements: readonly string[]): Loss | undefined {
    const at = this.#traps.findIndex(({ wanted }) => statements.some((one) => wanted.test(one)))
    const [trap] = at < 0 ? [] : this.#traps.splice(at, 1)
    trap?.sprung()
    return trap?.loss
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.refuse()
  }
}

class Link {
  readonly ended: Promise<void>
  readonly #client: net.Socket
  readonly #server: net.Socket
  readonly #lossOf: (statements: readonly string[]) => Loss | undefined
  readonly #named = new Map<string, string>()
  #seen: Buffer = Buffer.alloc(0)
  #started = false
  /** What the transaction has run so far. */
  #statements: string[] = []
  #loss: Loss | undefined

  constructor(client: net.Socket, server: net.Socket, lossOf: (statements: readonly string[]) => Loss | undefined) {
    this.#client = client
    this.#server = server
    this.#lossOf = lossOf
    this.ended = new Promise((resolve) => client.once('close', resolve))
    for (const socket of [client, server]) socket.setNoDelay().on('error', () => undefined)
    client.on('data', (chunk) => this.#fromClient(chunk))
    server.on('data', (chunk) => this.#fromServer(chunk))
    client.on('close', () => this.#loss !== 'half' && server.destroy())
    server.on('close', () => client.destroy())
  }

  cut(): void {
    this.#client.destroy()
    this.#server.destroy()
  }

  #fromServer(chunk: Buffer): void {
    if (this.#loss === undefined) this.#client.write(chunk)
    else if (this.#loss === 'answer') this.cut()
  }

  #fromClient(chunk: Buffer): void {
    this.#seen = Buffer.concat([this.#seen, chunk])
    for (;;) {
      const from = this.#started ? 1 : 0
      if (this.#seen.length < from + 4) return
      const length = from + this.#seen.readInt32BE(from)
      if (this.#seen.length < length) return
      const message = this.#seen.subarray(0, length)
      this.#seen = this.#seen.subarray(length)
      const loss = this.#started ? this.#look(message) : undefined
      this.#started = true
      if (loss === 'request' || loss === 'half') {
        if (loss === 'half') this.#client.destroy()
        else this.cut()
        return
      }
      this.#server.write(message)
    }
  }

  #look(message: Buffer): Loss | undefined {
    const words = message.subarray(5).toString('utf8').split('\0')
    switch (String.fromCharCode(message[0]!)) {
      case 'P':
        if (words[0] !== '') this.#named.set(words[0]!, words[1]!)
        else this.#statements.push(words[1]!)
        return undefined
      case 'B':
        this.#statements.push(this.#named.get(words[1]!) ?? '')
        return undefined
      case 'Q':
        if (/^begin/i.test(words[0]!)) this.#statements = []
        if (!/^commit/i.test(words[0]!)) return undefined
        this.#loss = this.#lossOf(this.#statements)
        return this.#loss
      default:
        return undefined
    }
  }
}
