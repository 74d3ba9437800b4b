/** A job's log as people want to read it: no section marks, progress bars as they ended, nothing a terminal would obey. */
import { printable, printableWithColors } from './printable.js'

const sectionMarks = /section_(?:start|end):\d+:[^\r\n]*\r\u001b\[0K/g

/** Whole lines in, whole lines out. `colors`: SGR sequences stay. */
export function readableLog(text: string, colors: boolean): string {
  const clean = colors ? printableWithColors : printable
  return text
    .replace(sectionMarks, '')
    .split('\n')
    .map((line) => clean(lastFrame(line)))
    .join('\n')
}

/** What a line looks like after its carriage returns. */
function lastFrame(line: string): string {
  const text = line.endsWith('\r') ? line.slice(0, -1) : line
  return text.slice(text.lastIndexOf('\r') + 1)
}

/** Cuts a stream of bytes into whole lines of text; `end` gives what is left. */
export class LineReader {
  readonly #decoder = new TextDecoder()
  #rest = ''

  /** The whole lines so far, with their line ends. */
  push(bytes: Uint8Array): string {
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true })
    const end = text.lastIndexOf('\n') + 1
    this.#rest = text.slice(end)
    return text.slice(0, end)
  }

  end(): string {
    const rest = this.#rest + this.#decoder.decode()
    this.#rest = ''
    return rest
  }
}

const sectionMark = /section_(start|end):\d+:([a-z0-9_.-]{1,64})[^\r\n]*\r\u001b\[0K/g

/**
 * What a developer wants of a job's log at home: what the scripts said. Preparing, fetching and cleaning up are kept back
 * but for their warnings and errors, and shown in full, in their order, if the job failed before its script came to run.
 */
export class ScriptOutput {
  #section = ''
  #ran = false
  #kept: string[] = []

  /** Takes whole lines, or the last part of one; gives those to show now. */
  push(text: string): string {
    return text
      .split(/(?<=\n)/)
      .map((line) => this.#take(line))
      .join('')
  }

  /** What was kept back, if the job has failed without running its script. */
  end(failed: boolean): string {
    if (this.#ran) return ''
    return this.#kept.filter((line) => failed || isComplaint(line)).join('')
  }

  #take(line: string): string {
    const mark = line.search(sectionMark)
    if (mark > 0 && printable(line.slice(0, mark)) !== '') {
      // What has no end of line of its own: the mark stands behind it.
      return this.#take(`${line.slice(0, mark)}\n`) + this.#take(line.slice(mark))
    }
    const heading = this.#turns(line)
    if (this.#isScript()) {
      const before = this.#ran ? '' : this.#kept.filter(isComplaint).join('')
      this.#ran = true
      return heading ? before : before + line
    }
    if (this.#ran) return isComplaint(line) ? line : ''
    this.#kept.push(line)
    return ''
  }

  #isScript(): boolean {
    return this.#section.startsWith('step_') || this.#section === 'after_script'
  }

  /** Whether a section of the runner's begins or ends here. Sections that a script opens are inside of these. */
  #turns(line: string): boolean {
    let turns = false
    for (const [, edge, name] of line.matchAll(sectionMark)) {
      if (edge === 'start' ? this.#section !== '' : this.#section !== name) continue
      this.#section = edge === 'start' ? name! : ''
      turns = true
    }
    return turns
  }
}

function isComplaint(line: string): boolean {
  return /(ERROR|WARNING): /.test(line)
}
