/** TLS of both ports: the certificate, its key and the CA of clients, read again when one of the files changes. */
import { readFileSync } from 'node:fs'
import tls from 'node:tls'
import { SettingsError, type TlsSettings } from './config/settings.js'
import type { Clock } from './core/clock.js'
import type { Log } from './core/log.js'

const lookEveryMs = 2000

/** What the files hold. */
type Material = { cert: Buffer; key: Buffer; ca?: Buffer }

/** The files as they were last found to be right, for as many servers as there are ports. */
export class TlsFiles {
  readonly #servers: tls.Server[] = []
  #material: Material
  #seen: string

  /** Reads them. Throws `SettingsError` for a file that cannot be read, or a key that is another certificate's. */
  constructor(private readonly settings: TlsSettings) {
    this.#material = this.#read()
    this.#seen = textOf(this.#material)
  }

  /** Whether clients must show a certificate. */
  get mutual(): boolean {
    return this.settings.clientCa !== undefined
  }

  /** Of a server that is to be made. Who shows no certificate is told so in its protocol, so the handshake lets it in. */
  get options(): tls.TlsOptions {
    return { ...this.#context, requestCert: this.mutual, rejectUnauthorized: false, handshakeTimeout: 10_000 }
  }

  /** Gives the server new files as they come. */
  follow(server: tls.Server): void {
    this.#servers.push(server)
  }

  /** Looks for changes until the function that it returns is called. What is not right changes nothing and is logged. */
  watch(clock: Clock, log: Log): () => void {
    return clock.every(lookEveryMs, () => {
      try {
        this.#look(log)
      } catch (error) {
        log.error(
          { error: (error as Error).message },
          'the files of [tls] are not right; what was read before still holds',
        )
      }
    })
  }

  get #context(): tls.SecureContextOptions {
    return { ...this.#material, minVersion: 'TLSv1.2' }
  }

  #look(log: Log): void {
    const { cert, key, clientCa } = this.settings
    const found = [cert, key, clientCa].map((file) => (file === undefined ? '' : contentOf(file))).join('\0')
    if (found === this.#seen) return
    // Said once for each change.
    this.#seen = found
    this.#material = this.#read()
    for (const server of this.#servers) server.setSecureContext(this.#context)
    log.info({}, 'the files of [tls] were read again')
  }

  #read(): Material {
    const { cert, key, clientCa } = this.settings
    const read = (name: string, file: string) => {
      try {
        return readFileSync(file)
      } catch (error) {
        throw new SettingsError(`tls.${name}`, `cannot be read: ${(error as Error).message}`)
      }
    }
    const material = {
      cert: read('cert', cert),
      key: read('key', key),
      ...(clientCa === undefined ? {} : { ca: read('client_ca', clientCa) }),
    }
    try {
      if (material.ca?.includes('-----BEGIN CERTIFICATE-----') === false)
        throw new Error('client_ca holds no certificate')
      tls.createSecureContext(material)
    } catch (error) {
      throw new SettingsError('tls', `${cert} and ${key} cannot be used: ${(error as Error).message}`)
    }
    return material
  }
}

/**
 * Why the client at the other end is not let in; undefined: it is. A session that is taken up again counts as trusted even
 * where none of its handshakes had a certificate, so the certificate itself is asked for too.
 */
export function clientRefusal(socket: unknown): string | undefined {
  if (!(socket instanceof tls.TLSSocket)) return 'a certificate of a client is needed: connect by TLS'
  if (Object.keys(socket.getPeerCertificate() ?? {}).length === 0)
    return 'a certificate of a client is needed, and none came'
  if (socket.authorized) return undefined
  const why = String(socket.authorizationError)
  return `the certificate of the client is not accepted: ${refusals[why] ?? why}`
}

const refusals: Record<string, string> = {
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the CA of [tls] client_ca has not signed it',
  UNABLE_TO_GET_ISSUER_CERT: 'the CA of [tls] client_ca has not signed it',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the CA of [tls] client_ca has not signed it',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the CA of [tls] client_ca has not signed it',
  SELF_SIGNED_CERT_IN_CHAIN: 'the CA of [tls] client_ca has not signed it',
}

function contentOf(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    // In the middle of a change: it is looked at again.
    return ''
  }
}

function textOf({ cert, key, ca }: Material): string {
  return [cert, key, ca ?? Buffer.alloc(0)].map((each) => each.toString('latin1')).join('\0')
}
