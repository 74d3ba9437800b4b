/** Checks of the options that `run` and `lint` have in common. Each throws `Exit` for what cannot be meant. */
import { statSync } from 'node:fs'
import path from 'node:path'
import { Exit, exitCodes } from './exit.js'
import { isProjectPath } from './project-path.js'
import { gitOutput, type WorkingTree } from './working-tree.js'

/** `--ref`: what git takes for the name of a branch or tag, also in full. */
export function checkedRef(tree: WorkingTree, given: string | undefined): string | undefined {
  if (given === undefined) return undefined
  const full = /^refs\/(heads|tags)\//.test(given) ? given : `refs/heads/${given}`
  // Git refuses this name for a branch too, and here it means nothing.
  const isName = !given.startsWith('-') && given !== 'HEAD'
  if (isName && gitOutput(tree.root, ['check-ref-format', full]) !== undefined) return given
  throw new Exit(exitCodes.usage, `--ref ${given}: git has no branch or tag of such a name`)
}

/** `--project`. */
export function checkedPath(given: string | undefined): string | undefined {
  if (given === undefined || isProjectPath(given)) return given
  throw new Exit(exitCodes.usage, `--project ${given}: expected GROUP/NAME, of letters, digits, "_", "-" and "."`)
}

/** The configuration: the file that is named, from a folder; else that at the repository's top. */
export function configFile({ root }: WorkingTree, folder: string, given: string | undefined): string {
  const file = given === undefined ? path.join(root, '.gitlab-ci.yml') : path.resolve(folder, given)
  const found = statSync(file, { throwIfNoEntry: false })
  if (!found) throw new Exit(exitCodes.notFound, `no configuration: ${file} does not exist`)
  if (found.isDirectory()) throw new Exit(exitCodes.notFound, `no configuration: ${file} is a folder`)
  return file
}
