/** Whether `signalbox run` can use containers. */
import { Exit, exitCodes } from './exit.js'

/**
 * Whether jobs with an image get their containers: an engine answers, and nobody wants all in the shell.
 * @throws Exit (2) where containers are wanted and no engine answers.
 */
export async function findContainers(wanted: 'shell' | 'docker' | undefined, env: NodeJS.ProcessEnv): Promise<boolean> {
  if (wanted === 'shell') return false
  try {
    const { findEngine } = await import('../plugins/executors/docker/find-engine.js')
    const address = findEngine({}, env)
    if (address === undefined) throw new Error('neither DOCKER_HOST is set nor is there a socket of Docker or Podman')
    const { Engine } = await import('../plugins/executors/docker/engine.js')
    await new Engine(address).about()
    return true
  } catch (error) {
    if (wanted === undefined) return false
    throw new Exit(exitCodes.usage, `--executor docker: no container engine answers: ${(error as Error).message}`)
  }
}
