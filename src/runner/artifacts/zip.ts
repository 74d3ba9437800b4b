/** Makes zip archives. */
import fs from 'node:fs'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import yazl from 'yazl'
import { openFile } from './open-file.js'
import type { SelectLog } from './select.js'

/** A zip archive of files, folders and links, made while it is read. Source: GitLab Runner, `helpers/archives/zip_create.go`. */
export function zip(root: string, files: readonly string[], log: SelectLog): Readable {
  const archive = new yazl.ZipFile()
  const output = archive.outputStream as Readable
  // The library's types leave out that it reports what goes wrong with a file as an event of the archive.
  ;(archive as unknown as NodeJS.EventEmitter).on('error', (error: Error) => output.destroy(error))
  if (files.some((file) => file === '.git' || file.startsWith('.git/'))) {
    log.warning('Part of .git directory is on the list of files to archive')
    log.warning('This may introduce unexpected problems')
  }
  fill(archive, root, files, log).catch((error: unknown) => output.destroy(error as Error))
  return output
}

/** Adds the entries while the archive is already read, with turns for others between. */
async function fill(archive: yazl.ZipFile, root: string, files: readonly string[], log: SelectLog): Promise<void> {
  for (const [index, file] of files.entries()) {
    if (index % 200 === 199) await setImmediate()
    addEntry(archive, root, file, log)
  }
  archive.end()
}

function addEntry(archive: yazl.ZipFile, root: string, file: string, log: SelectLog): void {
  const full = path.join(root, file)
  const stat = fs.lstatSync(full, { throwIfNoEntry: false })
  if (stat === undefined || file.includes('\\') || /^[A-Za-z]:/.test(file)) {
    const why = stat === undefined ? 'it is gone, or its name is not UTF-8' : 'a zip archive cannot hold its name'
    log.warning(`File ignored: ${file}: ${why}`)
    return
  }
  const options = { mtime: stat.mtime, mode: stat.mode }
  if (stat.isDirectory()) archive.addEmptyDirectory(file, options)
  else if (stat.isSymbolicLink()) {
    archive.addBuffer(fs.readlinkSync(full, { encoding: 'buffer' }), file, { ...options, compress: false })
  } else if (stat.isFile()) {
    archive.addReadStreamLazy(file, options, (give) => {
      try {
        give(null, openFile(root, file))
      } catch (error) {
        give(error as Error, undefined as never)
      }
    })
  } else log.warning(`File ignored: ${file}`)
}
