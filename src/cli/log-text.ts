/** A job's log as people want to read it: no section marks, progress bars as they ended, nothing a terminal would obey. */
import { printable, printableWithColors } from './terminal.js'

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
 * What a developer wants of a job's log at home: what the scripts said. Preparing, fetching and cleaning up are kept back,
 * and shown only if the job failed before its script came to run.
 */
export class ScriptOutput {
  #section = ''
  #ran = false
  #kept: string[] = []

  /** Takes whole lines; gives those to show now. */
  push(text: string): string {
    return text
      .split(/(?<=\n)/)
      .filter((line) => this.#shows(line))
      .join('')
  }

  /** What was kept back, if the job has failed without running its script. */
  end(failed: boolean): string {
    return failed && !this.#ran ? this.#kept.join('') : ''
  }

  #shows(line: string): boolean {
    const heading = this.#turns(line)
    const isScript = this.#section.startsWith('step_') || this.#section === 'after_script'
    if (isScript) this.#ran = true
    const shown = isScript ? !heading : /(ERROR|WARNING): /.test(line)
    if (!shown) this.#kept.push(line)
    return shown
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
