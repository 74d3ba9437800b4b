/** Stage: the executor is made ready. */
import fs from 'node:fs'
import os from 'node:os'
import type { PrepareInput } from '../../plugins/sdk.js'
import type { JobContext } from './context.js'
import type { JobImage } from './payload.js'
import type { Failure } from './report.js'
import type { Shell } from './script.js'
import { environmentOf } from './stages.js'
import { unlessPulled } from './time.js'

/** The shells that scripts are written for: the job's, and our own commands' on this host. */
export interface Shells {
  job: Shell
  host: Shell
}

/**
 * Makes the executor ready, and the files that the job finds beside its sources.
 * @returns nothing if the job was stopped meanwhile; rejects if the executor cannot be made ready.
 */
export async function prepare(
  context: JobContext,
  onStarted: (facts: Record<string, string>) => void,
): Promise<Shells | { failure: Failure } | undefined> {
  const { executor, log, settings, stop, variables } = context
  const input = toPrepareInput(context)
  const output = (chunk: Uint8Array) => log.output(chunk)
  const prepared = await log.section('prepare_executor', `Preparing the "${executor.name}" executor`, async () => {
    const result = await unlessPulled(stop.everything, executor.runner.prepare(input, output))
    if (result === undefined || 'failure' in result) return result
    log.plain(`Using ${capitalize(executor.name)}${executor.apart ? '' : ` (${result.shell})`} executor...`)
    const host = executor.apart ? await executor.host.prepare(input, output) : result
    return 'failure' in host ? host : { ...result, host: host.shell }
  })
  if (prepared === undefined || 'failure' in prepared) return prepared
  onStarted({ executor: executor.name, ...prepared.facts })
  await log.section('prepare_script', 'Preparing environment', async () => {
    for (const warning of settings.warnings) log.warning(warning)
    for (const file of variables.files()) {
      fs.writeFileSync(file.path, file.content, { mode: 0o600 })
      // Whoever the job is in a container; on this host nobody else comes as far as its folder.
      if (executor.apart) fs.chmodSync(file.path, 0o666)
    }
    log.plain(`Running on ${prepared.facts.host ?? os.hostname()}...`)
  })
  return { job: prepared.shell, host: prepared.host }
}

function toPrepareInput(context: JobContext): PrepareInput {
  const { payload, session, folders, variables, place } = context
  const { image, services, job, id, credentials } = payload
  const expand = (text: string) => variables.expand(text)
  return {
    session,
    job: {
      id,
      name: job.name,
      projectId: job.projectId,
      projectPath: job.projectPath,
      ...(image === undefined || image.name === '' ? {} : { image: toImage(image, expand) }),
      services: services.map((service) => ({
        ...toImage(service, expand),
        ...(service.alias === '' ? {} : { alias: expand(service.alias) }),
        ...(service.command.length === 0 ? {} : { command: service.command }),
        variables: Object.fromEntries(
          service.variables.map(({ key, value, raw }) => [key, raw ? value : expand(value)]),
        ),
      })),
      variables: environmentOf(context, 'running'),
      publicVariables: variables.environment({ publicOnly: true }),
      credentials,
    },
    runner: place,
    folders: { build: folders.build, temp: folders.temp },
    inside: folders.inside,
  }
}

function toImage(image: JobImage, expand: (text: string) => string) {
  return {
    name: expand(image.name),
    ...(image.entrypoint.length === 0 ? {} : { entrypoint: image.entrypoint }),
    ...(image.pullPolicy.length === 0 ? {} : { pullPolicy: image.pullPolicy }),
    ...(image.platform === '' ? {} : { platform: expand(image.platform) }),
    ...(image.user === '' ? {} : { user: expand(image.user) }),
  }
}

function capitalize(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
