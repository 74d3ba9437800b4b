/**
 * A commit of the working tree as it is: tracked and untracked files, minus ignored ones, on top of HEAD. A clean tree is
 * HEAD itself. Everything new goes into an object store of its own; the repository is only read.
 */
import { execFile } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { Exit, exitCodes } from './exit.js'
import type { WorkingTree } from './working-tree.js'

const run = promisify(execFile)

export interface Snapshot {
  sha: string
  /** Object folders that hold the commit: what a repository names as its alternates to see it. */
  objects: string[]
}

/** Takes the snapshot; `folder` is where new objects go. Ends the program (2) without git. */
export async function takeSnapshot(tree: WorkingTree, folder: string): Promise<Snapshot> {
  const objects = path.join(folder, 'objects')
  mkdirSync(path.join(objects, 'info'), { recursive: true })
  mkdirSync(path.join(objects, 'pack'), { recursive: true })
  mkdirSync(path.join(folder, 'refs'), { recursive: true })
  writeFileSync(path.join(folder, 'HEAD'), 'ref: refs/heads/main\n')
  const source = tree.gitDir === undefined ? [] : objectFolders(tree.gitDir)
  writeFileSync(path.join(objects, 'info', 'alternates'), source.map((one) => `${one}\n`).join(''))
  const index = path.join(folder, 'index')
  // The repository's index knows which files have not changed: without it, all of them would be read and hashed.
  const known = tree.gitDir === undefined ? undefined : path.join(tree.gitDir, 'index')
  if (known && existsSync(known)) copyFileSync(known, index)

  const env = {
    ...process.env,
    GIT_DIR: folder,
    GIT_WORK_TREE: tree.root,
    GIT_INDEX_FILE: index,
    GIT_OBJECT_DIRECTORY: objects,
    GIT_AUTHOR_NAME: 'signalbox',
    GIT_AUTHOR_EMAIL: 'signalbox@localhost',
    GIT_COMMITTER_NAME: 'signalbox',
    GIT_COMMITTER_EMAIL: 'signalbox@localhost',
  }
  const git = async (...args: string[]) => {
    try {
      const { stdout } = await run('git', ['-c', 'core.bare=false', ...exclude(tree), ...args], {
        cwd: tree.root,
        env,
        maxBuffer: 64 * 1024 * 1024,
      })
      return stdout.trim()
    } catch (error) {
      throw new Exit(
        exitCodes.usage,
        `git could not take in ${tree.root}: ${(error as { stderr?: string }).stderr ?? String(error)}`,
      )
    }
  }
  await git('add', '--all', '.')
  const made = await git('write-tree')
  const all = [objects, ...source]
  if (tree.head !== undefined && tree.tree === made) {
    return { sha: tree.head, objects: all }
  }
  const parents = tree.head === undefined ? [] : ['-p', tree.head]
  const message = tree.head === undefined ? 'Working tree' : 'Uncommitted changes'
  return { sha: await git('commit-tree', made, ...parents, '-m', message), objects: all }
}

/** The repository's own exclude file lies in a git folder that these commands do not use. */
function exclude(tree: WorkingTree): string[] {
  const file = tree.gitDir === undefined ? undefined : path.join(commonDir(tree.gitDir), 'info', 'exclude')
  return file && existsSync(file) ? ['-c', `core.excludesFile=${file}`] : []
}

/** A linked working tree keeps its objects with the main one. */
function commonDir(gitDir: string): string {
  const file = path.join(gitDir, 'commondir')
  return existsSync(file) ? path.resolve(gitDir, readFileSync(file, 'utf8').trim()) : gitDir
}

function objectFolders(gitDir: string): string[] {
  const own = path.join(commonDir(gitDir), 'objects')
  const alternates = path.join(own, 'info', 'alternates')
  if (!existsSync(alternates)) return [own]
  const more = readFileSync(alternates, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  return [own, ...more.map((line) => path.resolve(own, line))]
}
