/**
 * A payload is stored as a nonce, a line feed and JSON text in which marks stand for what only the hand-out knows. The nonce is
 * random, so that no job's own text looks like a mark; a mark is `@<nonce>:<name>@`.
 */
import { randomBytes } from 'node:crypto'

/** What only the hand-out knows, in its places in the payload: the values themselves, or marks that stand for them. */
export interface Slots {
  token: string
  running: string
  timeout: number | string
  waited: number | string | null
  size: number | string
  depth: number | string
  /** Begins the mark of an ID token; its claims follow, up to the end of the mark. */
  idToken: string
  /** JSON text of the runner's variables. */
  runner: string
  /** The same of the pipeline's predefined variables, which all its jobs have alike: most of the text, and kept once. */
  pipeline: string
}

/** Begins the name of an ID token's mark. */
export const idTokenMark = 'id_token:'

/** Hexadecimal digits of a nonce. */
const nonceLength = 16

export function newMarks(): { nonce: string; marks: Slots } {
  const nonce = randomBytes(nonceLength / 2).toString('hex')
  const mark = (name: string) => `@${nonce}:${name}@`
  const marks: Slots = {
    token: mark('token'),
    timeout: mark('timeout'),
    waited: mark('waited'),
    running: mark('running'),
    size: mark('size'),
    depth: mark('depth'),
    idToken: `@${nonce}:${idTokenMark}`,
    runner: JSON.stringify(mark('runner')),
    pipeline: JSON.stringify(mark('pipeline')),
  }
  return { nonce, marks }
}

/** A stored payload: its JSON text, and how the marks in it begin. */
export function readStored(stored: Uint8Array): { text: string; markStart: string } {
  const whole = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength).toString('utf8')
  return { text: whole.slice(nonceLength + 1), markStart: `@${whole.slice(0, nonceLength)}:` }
}
