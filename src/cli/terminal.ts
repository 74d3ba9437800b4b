/**
 * What the program says, and where: data on stdout, talk on stderr. Colours and redrawing only where a person looks at a
 * terminal. Text that came from elsewhere is stripped of everything a terminal would obey.
 */
import pc from 'picocolors'
import stringWidth from 'string-width'
import { printable } from './printable.js'

/** Where a command speaks to people and to other programs. */
export interface Terminal {
  /** A line of data. */
  out(line: string): void
  /** Bytes of data, as they are. */
  write(text: string): void
  /** A line of talk. */
  say(line: string): void
  readonly colors: ReturnType<typeof pc.createColors>
  /** Whether stderr is a terminal that can be redrawn. */
  readonly live: boolean
  readonly columns: number
  readonly rows: number
  /** Prints several lines as one piece. */
  together(print: () => void): void
  /** From now on everything is printed by way of `frame`, which keeps a block of its own below; undefined: no more. */
  framed(frame: ((print: () => void) => void) | undefined): void
}

/** Returns the terminal of this process. `NO_COLOR`, `FORCE_COLOR` and `TERM` count, as elsewhere. */
export function openTerminal(env: NodeJS.ProcessEnv = process.env): Terminal {
  const plain = env.NO_COLOR !== undefined && env.NO_COLOR !== ''
  const forced = env.FORCE_COLOR !== undefined && env.FORCE_COLOR !== '0'
  const dumb = env.TERM === 'dumb'
  const tty = process.stdout.isTTY === true
  let frame: ((print: () => void) => void) | undefined
  const together = (print: () => void) => {
    const around = frame
    if (around === undefined) return print()
    frame = undefined
    try {
      around(print)
    } finally {
      frame = around
    }
  }
  return {
    out: (line) => together(() => process.stdout.write(`${line}\n`)),
    write: (text) => process.stdout.write(text),
    say: (line) => together(() => process.stderr.write(`${line}\n`)),
    together,
    framed: (given) => {
      frame = given
    },
    colors: pc.createColors(!plain && (forced || (tty && !dumb))),
    live: process.stderr.isTTY === true && tty && !dumb && !plain && env.CI === undefined,
    get columns() {
      return process.stdout.columns || 80
    },
    get rows() {
      return process.stdout.rows || 24
    },
  }
}

/** Rows as columns that line up; tab-separated where nobody looks at them. */
export function table(terminal: Terminal, header: string[], rows: string[][]): void {
  const clean = rows.map((row) => row.map((cell) => printable(cell)))
  if (process.stdout.isTTY !== true) {
    for (const row of clean) terminal.out(row.join('\t'))
    return
  }
  const widths = header.map((title, i) =>
    Math.max(...[title, ...clean.map((row) => row[i] ?? '')].map((cell) => stringWidth(cell))),
  )
  const line = (row: string[]) =>
    row
      .map((cell, i) => cell + ' '.repeat(widths[i]! - stringWidth(cell)))
      .join('  ')
      .trimEnd()
  terminal.out(terminal.colors.dim(line(header)))
  for (const row of clean) terminal.out(line(row))
}

/** `2m 14s`, `0.8s`. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return ''
  if (seconds < 10) return `${seconds.toFixed(1)}s`
  const whole = Math.round(seconds)
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const units = ['h', 'm', 's']
  const first = parts.findIndex((part) => part > 0)
  return parts
    .map((part, i) => (i >= first && i < first + 2 && part > 0 ? `${part}${units[i]}` : ''))
    .filter((part) => part !== '')
    .join(' ')
}

const marks: Record<string, { mark: string; color: 'green' | 'red' | 'yellow' | 'blue' | 'dim' }> = {
  success: { mark: '✓', color: 'green' },
  failed: { mark: '✗', color: 'red' },
  canceled: { mark: '⊘', color: 'yellow' },
  canceling: { mark: '⊘', color: 'yellow' },
  running: { mark: '●', color: 'blue' },
  pending: { mark: '○', color: 'yellow' },
  skipped: { mark: '»', color: 'dim' },
  manual: { mark: '▶', color: 'dim' },
  created: { mark: '·', color: 'dim' },
  scheduled: { mark: '◷', color: 'dim' },
}

/** A status as a mark and a word in its colour. */
export function statusText(terminal: Terminal, status: string, warning = false): string {
  const { mark, color } = marks[status] ?? { mark: '·', color: 'dim' as const }
  const text = `${mark} ${status}`
  return terminal.colors[warning ? 'yellow' : color](text)
}
