/** Folders for `signalbox run`. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type Finished, git, signalbox } from './processes.js'

/** A folder with a pipeline, in which the command is run. */
export class Folder implements Disposable {
  readonly path = mkdtempSync(path.join(os.tmpdir(), 'signalbox-cli-'))

  write(files: Record<string, string | object>): this {
    for (const [name, content] of Object.entries(files)) {
      const file = path.join(this.path, name)
      mkdirSync(path.dirname(file), { recursive: true })
      writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
    }
    return this
  }

  /** Pushed, the commit would be skipped; whoever runs it gets what they ask for. */
  async commit(): Promise<this> {
    await git(this.path, 'init', '--quiet', '--initial-branch=main')
    await git(this.path, 'add', '--all')
    await git(this.path, 'commit', '--quiet', '--message', 'First [skip ci]')
    return this
  }

  git(...args: string[]): Promise<string> {
    return git(this.path, ...args)
  }

  run(...args: string[]): Promise<Finished> {
    return this.runWith({}, ...args)
  }

  runWith(env: Record<string, string>, ...args: string[]): Promise<Finished> {
    return signalbox(['run', ...args], { cwd: this.path, env: { NO_COLOR: '1', ...env } })
  }

  /** Every file of the git folder with its content, to see that nothing has changed. */
  repository(): Record<string, string> {
    const root = path.join(this.path, '.git')
    return Object.fromEntries(
      readdirSync(root, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => path.join(entry.parentPath, entry.name))
        .map((file) => [path.relative(root, file), readFileSync(file, 'latin1')]),
    )
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}
