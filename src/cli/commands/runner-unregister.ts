/** `signalbox runner unregister`: a runner goes, at its coordinator and from this host's file. */
import { askAbout, unregisterAt } from '../ask-coordinator.js'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { readRunnerFileOrExit } from '../runner-file-of.js'
import { clientTls } from '../tls-fetch.js'
import { takeFromRunnerFile } from '../write-runner-file.js'

/**
 * Deletes the runner of this name at its coordinator, then takes it from the file. One that the coordinator does not know any more is
 * taken from the file alone. Ends with 3 for a name that the file has not, with 6 without an answer: nothing has changed then.
 */
export async function unregisterRunner(name: string, options: { config?: string; url?: string }): Promise<void> {
  const { terminal } = openContext()
  const { file, runners } = readRunnerFileOrExit(options.config)
  const index = runners.findIndex((one) => one.name === name)
  if (index === -1) throw new Exit(exitCodes.notFound, `${file} has no runner ${name}`)
  await takeFromRunnerFile(file, index, () => deleteThere(runners[index]!, options.url))
  terminal.say(`runner ${name} is gone`)
}

type RunnerEntry = ReturnType<typeof readRunnerFileOrExit>['runners'][number]

/** One that is gone already is no fault. */
async function deleteThere({ token, tls, url: own }: RunnerEntry, given: string | undefined): Promise<void> {
  const url = given ?? own
  const trust = clientTls(process.env, tls ?? {})
  const asked = await askAbout(url, token, trust)
  if ('message' in asked)
    throw new Exit(asked.is === 'unreachable' ? exitCodes.unreachable : exitCodes.usage, asked.message)
  if (asked.is === 'known') await unregisterAt(url, token, trust)
}
