/** Hides secret values in a stream of bytes. */

const mask = Buffer.from('[MASKED]')

/** A filter over a stream of bytes: what comes out may lag behind what went in. */
export interface ByteFilter {
  push(chunk: Buffer): Buffer
  /** Returns what was held back. */
  end(): Buffer
}

/**
 * Replaces secrets by `[MASKED]` in a stream, also where one is cut by the border of two chunks. Only bytes that could
 * be the beginning of a secret are held back, so ordinary output passes at once. Secrets that overlap in the text are
 * masked as one, so no end of either stays readable.
 */
export class SecretMasker implements ByteFilter {
  readonly #secrets: Buffer[]
  #held: Buffer = Buffer.alloc(0)
  /** So many of the bytes held back belong to a secret whose mask is written already. */
  #covered = 0

  constructor(secrets: readonly string[]) {
    this.#secrets = [...new Set(secrets)].filter((secret) => secret !== '').map((secret) => Buffer.from(secret))
  }

  push(chunk: Buffer): Buffer {
    if (this.#secrets.length === 0) return chunk
    const text = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    return this.#emit(text, this.#possibleStart(text))
  }

  end(): Buffer {
    return this.#emit(this.#held, this.#held.length)
  }

  /** Returns the text up to `keepFrom` with its secrets replaced, and holds the rest back. */
  #emit(text: Buffer, keepFrom: number): Buffer {
    const out: Buffer[] = []
    let at = 0
    for (const { start, end } of this.#regions(text)) {
      const begun = start === 0 && this.#covered > 0
      if (start >= keepFrom && !begun) break
      out.push(text.subarray(at, start))
      if (!begun) out.push(mask)
      at = end
    }
    if (at < keepFrom) out.push(text.subarray(at, keepFrom))
    this.#covered = Math.max(0, at - keepFrom)
    this.#held = Buffer.from(text.subarray(keepFrom))
    return out.length === 1 ? (out[0] as Buffer) : Buffer.concat(out)
  }

  /** Where secrets stand in the text, in order, overlapping ones merged; the first may have begun before the text. */
  #regions(text: Buffer): { start: number; end: number }[] {
    const found: { start: number; end: number }[] = this.#covered === 0 ? [] : [{ start: 0, end: this.#covered }]
    for (const secret of this.#secrets) {
      for (let at = text.indexOf(secret); at >= 0; at = text.indexOf(secret, at + 1)) {
        found.push({ start: at, end: at + secret.length })
      }
    }
    found.sort((a, b) => a.start - b.start || b.end - a.end)
    const merged: { start: number; end: number }[] = []
    for (const each of found) {
      const last = merged.at(-1)
      if (last !== undefined && each.start < last.end) last.end = Math.max(last.end, each.end)
      else merged.push({ ...each })
    }
    return merged
  }

  /** The first position from which the rest of the text could be the beginning of a secret. */
  #possibleStart(text: Buffer): number {
    let first = text.length
    for (const secret of this.#secrets) {
      const from = Math.max(0, text.length - secret.length + 1)
      for (
        let at = text.indexOf(secret[0] ?? 0, from);
        at >= 0 && at < first;
        at = text.indexOf(secret[0] ?? 0, at + 1)
      ) {
        if (text.subarray(at).equals(secret.subarray(0, text.length - at))) first = at
      }
    }
    return first
  }
}

/**
 * Masks what follows a token's prefix (`glpat-…` becomes `glpat-[MASKED]`). Sources: GitLab Runner,
 * `common/buildlogger/internal/tokensanitizer`, and GitLab's token overview for the prefixes.
 */
export class TokenMasker implements ByteFilter {
  readonly #prefixes: Buffer[]
  #held: Buffer = Buffer.alloc(0)
  #inToken = false

  constructor(more: readonly string[]) {
    const prefixes = [...new Set([...tokenPrefixes, ...more])].filter((prefix) => prefix !== '')
    this.#prefixes = prefixes.map((prefix) => Buffer.from(prefix))
  }

  push(chunk: Buffer): Buffer {
    let text = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    const out: Buffer[] = []
    for (;;) {
      if (this.#inToken) {
        const end = tokenEnd(text)
        if (end < 0) {
          this.#held = Buffer.alloc(0)
          return Buffer.concat(out)
        }
        this.#inToken = false
        text = text.subarray(end)
      }
      const prefix = this.#next(text)
      if (prefix === undefined) break
      if (prefix.end === text.length) break
      out.push(text.subarray(0, prefix.end))
      text = text.subarray(prefix.end)
      if (!isTokenByte(text[0])) continue
      // The mask is written when the token begins; its bytes are then dropped as they come.
      out.push(mask)
      this.#inToken = true
    }
    const keepFrom = this.#possibleStart(text)
    this.#held = Buffer.from(text.subarray(keepFrom))
    out.push(text.subarray(0, keepFrom))
    return out.length === 1 ? (out[0] as Buffer) : Buffer.concat(out)
  }

  end(): Buffer {
    const rest = this.#held
    this.#held = Buffer.alloc(0)
    this.#inToken = false
    return rest
  }

  #next(text: Buffer): { end: number } | undefined {
    let best: { at: number; end: number } | undefined
    for (const prefix of this.#prefixes) {
      const at = text.indexOf(prefix)
      if (at >= 0 && (best === undefined || at < best.at)) best = { at, end: at + prefix.length }
    }
    return best
  }

  #possibleStart(text: Buffer): number {
    let first = text.length
    for (const prefix of this.#prefixes) {
      for (let length = Math.min(prefix.length, text.length); length > 0; length--) {
        const at = text.length - length
        if (at < first && text.subarray(at).equals(prefix.subarray(0, length))) first = at
      }
    }
    return first
  }
}

const tokenPrefixes = [
  'glpat-',
  'gloas-',
  'gldt-',
  'glrt-',
  'glrtr-',
  'glcbt-',
  'glptt-',
  'glft-',
  'glimt-',
  'glagent-',
  'glsoat-',
  'glffct-',
]

function tokenEnd(text: Buffer): number {
  return text.findIndex((byte) => !isTokenByte(byte))
}

/** Letters, digits and `- . _ =`. */
function isTokenByte(byte: number | undefined): boolean {
  if (byte === undefined) return false
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    (byte >= 0x61 && byte <= 0x7a) ||
    byte === 0x2d ||
    byte === 0x2e ||
    byte === 0x5f ||
    byte === 0x3d
  )
}
