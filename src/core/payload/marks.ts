/**
 * A payload is stored as a nonce, a line feed and JSON text in which marks stand for what only the hand-out knows. The nonce is
 * random, so that no job's own text looks like a mark; a mark is `@<nonce>:<name>@`.
 */
import { randomBytes } from 'node:crypto'

/** What stands in the text for what is spliced in. */
export interface Marks {
  token: string
  timeout: string
  runner: string
  waited: string
  running: string
  size: string
  depth: string
  /** Begins the mark of an ID token; its claims follow, up to the end of the mark. */
  idToken: string
  /** The whole list of variables, when the payload is built. */
  variables: string
  /** The pipeline's predefined variables, which all its jobs have alike: most of the text, and kept once. */
  pipeline: string
}

/** Begins the name of an ID token's mark. */
export const idTokenMark = 'id_token:'

/** Hexadecimal digits of a nonce. */
const nonceLength = 16

export function newMarks(): { nonce: string; marks: Marks } {
  const nonce = randomBytes(nonceLength / 2).toString('hex')
  const mark = (name: string) => `@${nonce}:${name}@`
  const marks = {
    token: mark('token'),
    timeout: mark('timeout'),
    runner: mark('runner'),
    waited: mark('waited'),
    running: mark('running'),
    size: mark('size'),
    depth: mark('depth'),
    idToken: `@${nonce}:${idTokenMark}`,
    variables: mark('variables'),
    pipeline: mark('pipeline'),
  }
  return { nonce, marks }
}

/** A stored payload: its JSON text, and how the marks in it begin. */
export function readStored(stored: Uint8Array): { text: string; markStart: string } {
  const whole = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength).toString('utf8')
  return { text: whole.slice(nonceLength + 1), markStart: `@${whole.slice(0, nonceLength)}:` }
}
