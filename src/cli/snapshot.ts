/**
 * A commit of the working tree as it is: tracked files, and untracked ones that are not ignored, on top of HEAD. A clean
 * tree is HEAD itself. Everything new goes into an object store of its own; the repository is only read, under its own
 * settings, so that what git ignores and how it converts files is as its user has it.
 */
import { execFile } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { Exit, exitCodes } from './exit.js'
import { ownFolders, type WorkingTree } from './working-tree.js'

const run = promisify(execFile)

/** A commit that no ref names. */
export interface Snapshot {
  sha: string
  /** Object folders that hold the commit: what a repository names as its alternates to see it. */
  objects: string[]
  /** What git processes are started with that see its objects and put new ones beside them. */
  env: NodeJS.ProcessEnv
}

/** A user's settings that would let git write beside the index, or start programs. */
const quietly = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.splitIndex=false',
  'core.bare=false',
].flatMap((setting) => ['-c', setting])

/** What of the working tree is taken: all but our own folders, whatever the ignore files say. */
const wanted = ['.', ...ownFolders.map((name) => `:(exclude,top,glob)**/${name}/**`)]

/** Takes the snapshot; `folder` is where new objects go. Ends the program (2) without git. */
export async function takeSnapshot(tree: WorkingTree, folder: string): Promise<Snapshot> {
  const objects = path.join(folder, 'objects')
  mkdirSync(path.join(objects, 'info'), { recursive: true })
  mkdirSync(path.join(objects, 'pack'), { recursive: true })
  mkdirSync(path.join(folder, 'refs'), { recursive: true })
  writeFileSync(path.join(folder, 'HEAD'), 'ref: refs/heads/main\n')
  // The coordinator's repositories name objects by SHA-1: of others only the files are taken, without their history.
  const history = tree.commonDir !== undefined && tree.objectFormat === 'sha1'
  const source = history ? objectFolders(tree.commonDir!) : []
  writeFileSync(path.join(objects, 'info', 'alternates'), source.map((one) => `${one}\n`).join(''))
  const index = path.join(folder, 'index')
  // The repository's index knows which files have not changed: without it, all of them would be read and hashed.
  const known = history ? path.join(tree.gitDir!, 'index') : undefined
  if (known && existsSync(known)) {
    copyFileSync(known, index)
    // Git looks into files that are as young as their index: a younger copy would hide what changed within that second.
    const { atime, mtime } = statSync(known)
    utimesSync(index, atime, mtime)
  }

  const env = {
    ...process.env,
    GIT_DIR: history ? tree.gitDir : folder,
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
      const { stdout } = await run('git', [...quietly, ...args], {
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
  await git('add', '--all', '--', ...wanted)
  const made = await git('write-tree')
  const all = [objects, ...source]
  if (history && tree.head !== undefined && tree.tree === made) {
    return { sha: tree.head, objects: all, env }
  }
  const parents = history && tree.head !== undefined ? ['-p', tree.head] : []
  const message = parents.length === 0 ? 'Working tree' : 'Uncommitted changes'
  return { sha: await git('commit-tree', made, ...parents, '-m', message), objects: all, env }
}

/** The repository's own objects, and those that it borrows. Git follows what these borrow in turn by itself. */
function objectFolders(commonDir: string): string[] {
  const own = path.join(commonDir, 'objects')
  const alternates = path.join(own, 'info', 'alternates')
  if (!existsSync(alternates)) return [own]
  const more = readFileSync(alternates, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  return [own, ...more.map((line) => path.resolve(own, line))]
}
