/** Opens what a job has left in its build folder. */
import fs from 'node:fs'
import path from 'node:path'

/** Opens a regular file of the build folder and nothing else: a link could lead to what is not the job's. */
export function openFile(root: string, file: string): fs.ReadStream {
  const full = path.join(root, file)
  const fd = fs.openSync(full, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK)
  if (!fs.fstatSync(fd).isFile()) {
    fs.closeSync(fd)
    throw new Error(`${file} is not a regular file`)
  }
  return fs.createReadStream(full, { fd })
}
