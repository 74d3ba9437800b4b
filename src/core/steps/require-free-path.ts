/** Step: whether a group or project may have a path. */
import { wrongField } from '../errors.js'
import { isPathSegment, pathRules } from '../project.js'
import { reservedPart } from '../reserved-paths.js'
import { findGroupByPath, findProjectAt, lockPath } from '../store/projects.js'
import { findUserByName } from '../store/users.js'
import type { Tx } from '../store/write.js'

/** Throws `invalid` with `details.field` for a path that is none, is reserved, or is taken. */
export async function requireFreePath(tx: Tx, path: string, fullPath: string): Promise<void> {
  if (!isPathSegment(path)) throw wrongField('path', pathRules)
  const reserved = reservedPart(fullPath)
  if (reserved !== undefined) throw wrongField('path', `${reserved} is a reserved name`)
  await lockPath(tx, fullPath)
  if ((await findGroupByPath(tx, fullPath)) || (await findProjectAt(tx, fullPath))) {
    throw wrongField('path', 'has already been taken')
  }
  // A user's namespace is made with the first project in it.
  if (await findUserByName(tx, fullPath)) throw wrongField('path', 'has already been taken')
}
