/** Variables of a job, and their expansion. */
import path from 'node:path'
import type { JobVariable } from './payload.js'

/** A job's variables in the order in which they were given: the last one of a name counts. */
export class Variables {
  constructor(
    private readonly list: readonly JobVariable[],
    /** Where file variables are written, as scripts see it. */
    private readonly fileFolder: string,
    /** The same on this host. */
    private readonly hostFolder = fileFolder,
  ) {}

  /** The value, which for a file variable is the path of its file; empty if there is none. */
  get(key: string): string {
    const variable = this.#find(key)
    if (variable === undefined) return ''
    return variable.file ? this.#pathOf(variable) : variable.value
  }

  /** The content, also of a file variable. */
  content(key: string): string {
    return this.#find(key)?.value ?? ''
  }

  /**
   * Replaces `$NAME`, `${NAME}` and `$$` in a text, once: a value that is put in is not looked at again. A name that is
   * not known becomes nothing, and so do the shell's own (`$1`, `$@`, `$?`…). Source: GitLab Runner,
   * `common/spec/variables.go` and Go's `os.Expand`, whose treatment of broken syntax is kept: `${` without an end and
   * `${}` vanish, a `$` before any other character stays.
   */
  expand(text: string): string {
    return text.replace(reference, (_whole, braced: string | undefined, name: string | undefined) =>
      this.#lookUp(braced ?? name ?? ''),
    )
  }

  /** The same variables with the values of those that are not raw expanded, each against the values as given. */
  expanded(): Variables {
    const list = this.list.map((each) => (each.raw ? each : { ...each, value: this.expand(each.value) }))
    return new Variables(list, this.fileFolder, this.hostFolder)
  }

  /** The job's environment; `publicOnly`: without what is secret, and without files. */
  environment({ publicOnly = false } = {}): Record<string, string> {
    const env: Record<string, string> = {}
    for (const { key } of this.list) {
      const variable = this.#find(key)
      if (publicOnly && (!variable?.public || variable.file || variable.masked)) continue
      // What the operating system cannot hold in an environment is left out.
      if (key !== '' && !/[=\0]/.test(key)) env[key] = this.get(key).replaceAll('\0', '')
    }
    return env
  }

  /** The files to be written: path and content. */
  files(): { path: string; content: string }[] {
    const last = new Map(this.list.filter((each) => each.file).map((each) => [each.key, each]))
    return [...last.values()]
      .filter((each) => this.#find(each.key) === each && isFileName(each.key))
      .map((each) => ({ path: path.join(this.hostFolder, each.key), content: each.value }))
  }

  /** What must not be seen in the log. */
  masked(): string[] {
    return this.list.filter((each) => each.masked && each.value !== '').map((each) => each.value)
  }

  /** A value that is read as true or false, as GitLab Runner reads it. */
  flag(key: string): boolean {
    return /^(1|t|true)$/i.test(this.content(key).trim())
  }

  #find(key: string): JobVariable | undefined {
    return this.list.findLast((each) => each.key === key)
  }

  #lookUp(name: string): string {
    if (name === '$') return '$'
    return isSpecial(name) ? '' : this.get(name)
  }

  #pathOf(variable: JobVariable): string {
    return path.join(this.fileFolder, path.basename(variable.key))
  }
}

const reference = /\$(?:\{([^}]*)\}|\{|([A-Za-z_]\w*|[*#$@!?\-0-9]))/g

function isSpecial(text: string): boolean {
  return /^[*#$@!?\-0-9]$/.test(text)
}

/** A key that cannot lead out of the folder of temporary files. */
function isFileName(key: string): boolean {
  return key !== '' && key !== '.' && key !== '..' && !key.includes('/') && !key.includes('\0')
}
