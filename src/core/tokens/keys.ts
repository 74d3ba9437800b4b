/**
 * What the node's key file gives: one secret of 32 bytes, from which come the key that seals what must not be readable at
 * rest, and those that job tokens are known by. Losing the file loses sealed variables and ends open job tokens.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  sign,
  timingSafeEqual,
  verify,
} from 'node:crypto'
import { SignalboxError } from '../errors.js'

/** What the key file is used for. */
export interface Keys {
  /** Encrypts and authenticates (AES-256-GCM). */
  seal(plain: Uint8Array): Buffer
  /** The reverse of `seal`. Throws `SealError` if the bytes were not sealed with this key, or were altered. */
  open(sealed: Uint8Array): Buffer
  /** Authenticates with HMAC-SHA256: only who has the key file can make it, or check it. Deterministic. */
  mac(message: string): Buffer
  isMac(message: string, mac: Uint8Array): boolean
  /** Signs with Ed25519; deterministic. */
  sign(message: Uint8Array): Buffer
  verify(message: Uint8Array, signature: Uint8Array): boolean
  /** Four words that no other installation has; they tell nothing of the keys. */
  readonly traceSeed: Uint32Array
}

/** Sealed bytes that this key does not open. What they were for fails, with a reason; what has other bytes goes on. */
export class SealError extends SignalboxError {
  constructor(cause: unknown) {
    super('internal', 'a sealed value cannot be opened: it is damaged, or was sealed with another key file', { cause })
  }
}

const nonceBytes = 12
const tagBytes = 16

/** Makes the keys from the secret of a key file (32 bytes or more). */
export function keysFrom(secret: Uint8Array): Keys {
  const derive = (purpose: string) => Buffer.from(hkdfSync('sha256', secret, 'signalbox', purpose, 32))
  const sealing = createSecretKey(derive('seal v1'))
  const authenticating = createSecretKey(derive('job token v1'))
  const mac = (message: string) => createHmac('sha256', authenticating).update(message).digest()
  const signing = ed25519PrivateKey(derive('sign v1'))
  const verifying = createPublicKey(signing)
  const seed = derive('trace ids v1')
  return {
    seal(plain) {
      const nonce = randomBytes(nonceBytes)
      const cipher = createCipheriv('aes-256-gcm', sealing, nonce)
      return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
    },
    open(sealed) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
      try {
        const decipher = createDecipheriv('aes-256-gcm', sealing, bytes.subarray(0, nonceBytes), {
          authTagLength: tagBytes,
        })
        decipher.setAuthTag(bytes.subarray(bytes.length - tagBytes))
        return Buffer.concat([decipher.update(bytes.subarray(nonceBytes, bytes.length - tagBytes)), decipher.final()])
      } catch (error) {
        throw new SealError(error)
      }
    },
    mac,
    isMac(message, given) {
      const expected = mac(message)
      return given.length === expected.length && timingSafeEqual(expected, given)
    },
    sign: (message) => sign(null, message, signing),
    verify: (message, signature) => verify(null, message, verifying, signature),
    traceSeed: Uint32Array.from({ length: 4 }, (_, i) => seed.readUInt32BE(4 * i)),
  }
}

/** RFC 8410: the seed of an Ed25519 key in the frame that Node's importer wants. */
function ed25519PrivateKey(seed: Buffer): KeyObject {
  const frame = Buffer.from('302e020100300506032b657004220420', 'hex')
  return createPrivateKey({ key: Buffer.concat([frame, seed]), format: 'der', type: 'pkcs8' })
}
