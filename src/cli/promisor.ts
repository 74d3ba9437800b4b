/**
 * A partial clone (https://git-scm.com/docs/partial-clone) lacks objects that its remote has promised. Who fetches from it
 * does not get them on demand: git serves no promises for others. So what jobs are going to fetch is brought before.
 */
import { execFile, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { Exit, exitCodes } from './exit.js'
import type { WorkingTree } from './working-tree.js'

const run = promisify(execFile)

/** Whether anything may be missing, told without starting git. */
export function isPartial(tree: WorkingTree): boolean {
  if (tree.commonDir === undefined || tree.objectFormat !== 'sha1') return false
  const files = [path.join(tree.commonDir, 'config'), path.join(tree.gitDir!, 'config.worktree')]
  return files.some((file) => existsSync(file) && /promisor|partialclone/i.test(readFileSync(file, 'utf8')))
}

/**
 * Fetches the missing objects of a commit and of those before it, `depth` of them in a line (0: all), with the user's own
 * access, into the object folder that `env` names. Ends the program (2) if they cannot be had.
 */
export async function fetchMissing(env: NodeJS.ProcessEnv, sha: string, depth: number): Promise<void> {
  const commits = await within(env, sha, depth)
  // A tree that has come may name others.
  for (let missing = await missingOf(env, commits); missing.length > 0; ) {
    await fetch(env, missing)
    const left = await missingOf(env, commits)
    const known = new Set(missing)
    if (left.some((id) => known.has(id))) throw notThere(left.length, 'its remote does not have them')
    missing = left
  }
}

/** The commits that a fetch of this depth gets. */
async function within(env: NodeJS.ProcessEnv, sha: string, depth: number): Promise<string[]> {
  const { stdout } = await run('git', ['rev-list', '--parents', sha], { env, maxBuffer: 1024 * 1024 * 1024 })
  const parents = new Map(stdout.split('\n').map((line) => [line.slice(0, 40), line.split(' ').slice(1)]))
  if (depth === 0) return [...parents.keys()].filter((id) => id !== '')
  const found = new Set([sha])
  let edge = [sha]
  for (let level = 1; level < depth && edge.length > 0; level++) {
    edge = edge.flatMap((id) => parents.get(id) ?? []).filter((id) => !found.has(id))
    for (const id of edge) found.add(id)
  }
  return [...found]
}

async function missingOf(env: NodeJS.ProcessEnv, commits: readonly string[]): Promise<string[]> {
  const args = ['rev-list', '--objects', '--no-walk', '--missing=print', '--stdin']
  const listed = await withInput(env, args, commits.join('\n'))
  return listed.split('\n').flatMap((line) => (line.startsWith('?') ? [line.slice(1)] : []))
}

async function fetch(env: NodeJS.ProcessEnv, ids: readonly string[]): Promise<void> {
  const { stdout } = await run('git', ['config', '--get-regexp', '^remote\\..*\\.(promisor|partialclonefilter)$'], {
    env,
  })
  const remote = /^remote\.(.+)\.(?:promisor|partialclonefilter) /m.exec(stdout)?.[1] ?? 'origin'
  const quietly = ['-c', 'fetch.negotiationAlgorithm=noop', '-c', 'core.hooksPath=/dev/null']
  const only = ['--no-tags', '--no-write-fetch-head', '--recurse-submodules=no', '--no-auto-maintenance', '--refmap=']
  try {
    await withInput(
      env,
      [...quietly, 'fetch', '--quiet', remote, ...only, '--filter=blob:none', '--stdin'],
      ids.join('\n'),
    )
  } catch (error) {
    throw notThere(ids.length, `git cannot fetch them from ${remote}: ${(error as Error).message}`)
  }
}

function notThere(count: number, why: string): Exit {
  return new Exit(
    exitCodes.usage,
    `this is a partial clone: ${count} objects are missing, and ${why}`,
    'fewer are needed with --var GIT_DEPTH=1',
  )
}

function withInput(env: NodeJS.ProcessEnv, args: string[], input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('git', args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
    const output: Buffer[] = []
    let complaint = ''
    child.stdout.on('data', (piece: Buffer) => output.push(piece))
    child.stderr.on('data', (piece: Buffer) => {
      complaint = `${complaint}${piece.toString()}`.slice(-4000)
    })
    // It may end before it has read everything; its words say why.
    child.stdin.on('error', () => undefined)
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve(Buffer.concat(output).toString('utf8'))
      else reject(new Error(complaint.trim()))
    })
    child.stdin.end(`${input}\n`)
  })
}
