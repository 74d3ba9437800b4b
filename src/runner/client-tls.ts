/** How this side shows itself to a coordinator with TLS, and whom it trusts beside the public CAs. */
import { readFileSync } from 'node:fs'
import tls from 'node:tls'
import { RunnerError } from './runner-error.js'

/** Files in PEM, under the names that GitLab Runner has for them. */
export interface TlsFileNames {
  /** CAs that are trusted, too. */
  tlsCaFile?: string
  /** The certificate that is shown, and its key. */
  tlsCertFile?: string
  tlsKeyFile?: string
}

/** What they hold, as Node's TLS takes it. */
export interface ClientTls {
  ca?: string[]
  cert?: string
  key?: string
  files: TlsFileNames
}

/**
 * Reads the files; undefined where none is named.
 * @throws RunnerError with code `usage` for a file that cannot be used, and for a certificate without its key.
 */
export function readClientTls(files: TlsFileNames): ClientTls | undefined {
  const { tlsCaFile, tlsCertFile, tlsKeyFile } = files
  if (tlsCaFile === undefined && tlsCertFile === undefined && tlsKeyFile === undefined) return undefined
  if ((tlsCertFile === undefined) !== (tlsKeyFile === undefined)) {
    throw new RunnerError('usage', 'a TLS certificate and its key need one another')
  }
  const read = (file: string) => {
    try {
      return readFileSync(file, 'utf8')
    } catch (error) {
      throw new RunnerError('usage', `${file} cannot be read: ${(error as Error).message}`)
    }
  }
  const found: ClientTls = {
    ...(tlsCaFile === undefined ? {} : { ca: [...tls.rootCertificates, read(tlsCaFile)] }),
    ...(tlsCertFile === undefined ? {} : { cert: read(tlsCertFile), key: read(tlsKeyFile!) }),
    files,
  }
  if (tlsCaFile !== undefined && !found.ca?.at(-1)?.includes('-----BEGIN CERTIFICATE-----')) {
    throw new RunnerError('usage', `${tlsCaFile} holds no certificate in PEM`)
  }
  try {
    tls.createSecureContext(optionsOf(found))
  } catch (error) {
    throw new RunnerError('usage', `${Object.values(files).join(', ')}: ${(error as Error).message}`)
  }
  return found
}

/** For Node's own functions. */
export function optionsOf(given: ClientTls | undefined): Pick<ClientTls, 'ca' | 'cert' | 'key'> {
  const { files: _, ...options } = given ?? { files: {} }
  return options
}

/** What went wrong with TLS, in a sentence with its remedy; undefined: it was something else. */
export function tlsTrouble(error: unknown): string | undefined {
  const { code = '', message = '' } = error as { code?: string; message?: string }
  if (trusts.some((one) => code === one || message.includes(one) || message.includes(wordsOf[one] ?? one)))
    return 'its certificate is signed by nobody who is trusted here: name the CA with --tls-ca-file'
  if (/CERT_HAS_EXPIRED|certificate has expired/.test(code + message)) return 'its certificate has expired'
  if (/ERR_TLS_CERT_ALTNAME_INVALID|does not match certificate/.test(code + message))
    return `its certificate is another host's (${message})`
  if (/wrong version number|packet length too long/i.test(message))
    return 'it does not speak TLS: try the address without it'
  return undefined
}

const wordsOf: Record<string, string> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'self-signed certificate',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'unable to verify the first certificate',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'unable to get local issuer certificate',
}
const trusts = [...Object.keys(wordsOf), 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_GET_ISSUER_CERT']
