/** Which files an entry of `artifacts` or `cache` means. */
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { ArtifactSpec } from '../job/payload.js'
import { messageOf } from '../runner-error.js'
import { compileGlob, type Glob, hasGlob } from './glob.js'

/** What selecting files has to say, for the log. */
export interface SelectLog {
  plain(text: string): void
  warning(text: string): void
}

/**
 * The files, folders and links that one entry of `artifacts` or `cache` means, relative to the build folder and sorted. A folder
 * that matches brings everything below it; what `exclude` matches is left out, one by one; links are taken as links and
 * never followed. Source: GitLab Runner, `commands/helpers/file_archiver.go`.
 */
export async function selectFiles(
  root: string,
  spec: Pick<ArtifactSpec, 'paths' | 'exclude' | 'untracked'>,
  log: SelectLog,
): Promise<string[]> {
  const files = new Set<string>()
  const excluded = new Map<string, number>()
  const compiled = (given: string): { given: string; relative: string; glob: Glob }[] => {
    const relative = relativeTo(root, given)
    if (relative === undefined) {
      log.warning(`artifact path is not a subpath of project directory: ${given}`)
      return []
    }
    try {
      return [{ given, relative, glob: compileGlob(relative) }]
    } catch (error) {
      log.warning(`${given}: ${messageOf(error)}`)
      return []
    }
  }
  const rules = spec.exclude.flatMap(compiled)
  const add = (file: string): boolean => {
    const rule = rules.find(({ glob }) => glob.matches(file))
    if (rule !== undefined) excluded.set(rule.given, (excluded.get(rule.given) ?? 0) + 1)
    else files.add(file)
    return rule === undefined
  }
  for (const { given, relative, glob } of spec.paths.flatMap(compiled)) {
    const found = (await findMatches(root, relative, glob)).filter(add).length
    if (found > 0) log.plain(`${given}: found ${found} matching artifact files and directories`)
    else {
      const where = 'Ensure that the artifact path is relative to the working directory'
      log.warning(`${given}: no matching files. ${where} (${root})`)
    }
  }
  if (spec.untracked) {
    const found = (await untracked(root, log)).filter(add).length
    if (found > 0) log.plain(`untracked: found ${found} files`)
    else log.warning('untracked: no files')
  }
  for (const [rule, count] of excluded) log.plain(`${rule}: excluded ${count} files`)
  return [...files].sort()
}

/** @returns `.` for the build folder itself, nothing for what is not below it. */
function relativeTo(root: string, given: string): string | undefined {
  if (given === '') return undefined
  const parts = given.split('/')
  const special = parts.findIndex(hasGlob)
  const base = special < 0 ? given : parts.slice(0, special).join('/') || (given.startsWith('/') ? '/' : '.')
  const relative = path.relative(root, path.resolve(root, base))
  if (relative === '..' || relative.startsWith('../')) return undefined
  const rest = special < 0 ? [] : parts.slice(special)
  const joined = [relative, ...rest].filter((part) => part !== '').join('/')
  return joined === '' ? '.' : joined
}

/** What a pattern matches, with all that lies below a match. */
async function findMatches(root: string, pattern: string, glob: Glob): Promise<string[]> {
  const special = hasGlob(pattern)
  if (!isInside(root, special ? glob.base : path.dirname(pattern))) return []
  const search: Search = { root, found: [], breathe: breather() }
  await visit(search, special ? glob.base : pattern, special ? glob : undefined)
  return search.found
}

interface Search {
  root: string
  found: string[]
  breathe: () => Promise<void>
}

/** Without a glob everything is taken. */
async function visit(search: Search, file: string, glob: Glob | undefined): Promise<void> {
  const here = file === '.' ? '' : file
  const stat = fs.lstatSync(path.join(search.root, here), { throwIfNoEntry: false })
  if (stat === undefined) return
  const taken = glob === undefined || (here !== '' && glob.matches(here))
  if (taken && here !== '') search.found.push(here)
  if (!stat.isDirectory()) return
  if (!taken && here !== '' && here.split('/').length >= glob.depth) return
  await search.breathe()
  for (const { name, isFolder } of entriesOf(search.root, here)) {
    const inside = here === '' ? name : `${here}/${name}`
    if (isFolder) await visit(search, inside, taken ? undefined : glob)
    else if (taken || glob.matches(inside)) search.found.push(inside)
  }
}

/** Gives the event loop a turn when it was not given one for a while: a job may leave a million files. */
function breather(): () => Promise<void> {
  let since = performance.now()
  return async () => {
    if (performance.now() - since < 10) return
    await setImmediate()
    since = performance.now()
  }
}

function entriesOf(root: string, folder: string): { name: string; isFolder: boolean }[] {
  try {
    const entries = fs.readdirSync(path.join(root, folder), { withFileTypes: true })
    return entries.map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }))
  } catch {
    // Not there, or not ours to read: nothing to take.
    return []
  }
}

/** A link among the folders of a pattern must not lead out: what lies there is the host's, not the job's. */
function isInside(root: string, folder: string): boolean {
  try {
    const relative = path.relative(fs.realpathSync(root), fs.realpathSync(path.join(root, folder)))
    return relative !== '..' && !relative.startsWith('../')
  } catch {
    return false
  }
}

async function untracked(root: string, log: SelectLog): Promise<string[]> {
  try {
    return await outOfIndex(root)
  } catch (error) {
    log.warning(`untracked: ${messageOf(error)}`)
    return []
  }
}

/**
 * What git does not track, by the job's index alone: settings in its repository may name programs, which would run here and
 * not where the job ran.
 */
async function outOfIndex(root: string): Promise<string[]> {
  const kind = (name: string) => fs.lstatSync(path.join(root, '.git', name), { throwIfNoEntry: false })
  if (!kind('')?.isDirectory()) throw new Error('there is no git repository')
  const [index, config] = [kind('index'), kind('config')]
  if (index !== undefined && !index.isFile()) throw new Error('the index of the git repository is no file')
  const settings = config?.isFile() ? fs.readFileSync(path.join(root, '.git', 'config'), 'latin1') : ''
  const sha256 = /^\s*objectformat\s*=\s*"?sha256/im.test(settings)
  const plain = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-index-'))
  try {
    for (const folder of ['objects', 'refs']) fs.mkdirSync(path.join(plain, folder))
    fs.writeFileSync(path.join(plain, 'HEAD'), 'ref: refs/heads/none\n')
    const lines = sha256 ? ['repositoryformatversion = 1', '[extensions]', 'objectFormat = sha256'] : []
    fs.writeFileSync(path.join(plain, 'config'), ['[core]', 'bare = false', ...lines, ''].join('\n'))
    const env = {
      ...process.env,
      GIT_DIR: plain,
      GIT_WORK_TREE: root,
      GIT_INDEX_FILE: path.join(root, '.git', 'index'),
    }
    const maxBuffer = 256 * 1024 * 1024
    const { stdout } = await promisify(execFile)('git', ['ls-files', '-o', '-z'], { cwd: root, env, maxBuffer })
    return stdout.split('\0').filter((file) => file !== '')
  } finally {
    fs.rmSync(plain, { recursive: true, force: true })
  }
}
