/** Files that a container has made may belong to nobody that the runner is. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { labelsFor } from './container-config.js'
import { createContainer, removeContainer, runContainer } from './containers.js'
import type { Engine } from './engine.js'
import { giveBackScript } from './scripts.js'
import type { Session } from './session.js'

/**
 * Lets a container of the job's image give the job's folders back to this process's user, if there is anything of others
 * in them: what a container's root has made, a runner that is not root could neither keep nor remove.
 */
export async function giveBack(
  engine: Engine,
  { input, image }: Pick<Session, 'input' | 'image'>,
  nameOf: (part: string) => string,
  say: (text: string) => Promise<void>,
): Promise<void> {
  const uid = process.getuid?.() ?? 0
  if (uid === 0) return
  const { folders, inside } = input
  if (!(await holdsFilesOfOthers([folders.build, folders.temp], uid))) return
  const bind = (Source: string, Target: string) => ({ Type: 'bind', Source, Target })
  let said = ''
  try {
    const id = await createContainer(engine, {
      name: nameOf('owner'),
      config: {
        Image: image.id,
        Entrypoint: ['sh'],
        Cmd: ['-c', giveBackScript, 'sh', inside.build, inside.temp],
        User: '0',
        Labels: labelsFor(input, 'helper'),
      },
      hostConfig: {
        NetworkMode: 'none',
        Mounts: [bind(folders.build, inside.build), bind(folders.temp, inside.temp)],
      },
    })
    try {
      const { exitCode } = await runContainer(engine, id, async (chunk) => {
        said += Buffer.from(chunk).toString('utf8').slice(0, 500)
      })
      if (exitCode === 0) return
    } finally {
      await removeContainer(engine, id)
    }
  } catch (error) {
    said = (error as Error).message
  }
  await say(`WARNING: files that the container’s user made still belong to that user: ${said.trim() || 'chown failed'}`)
}

async function holdsFilesOfOthers(folders: readonly string[], uid: number): Promise<boolean> {
  try {
    const { stdout } = await promisify(execFile)('find', [...folders, '!', '-user', String(uid), '-print', '-quit'])
    return stdout !== ''
  } catch {
    // What find may not enter is somebody else's.
    return true
  }
}
