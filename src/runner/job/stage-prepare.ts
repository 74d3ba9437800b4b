/** Stage: the executor is made ready. */
import fs from 'node:fs'
import os from 'node:os'
import type { PrepareInput, PrepareResult } from '../../plugins/sdk.js'
import type { JobContext } from './context.js'
import type { JobImage } from './payload.js'
import { unlessPulled } from './time.js'

/**
 * Makes the executor ready, and the files that the job finds beside its sources.
 * @returns nothing if the job was stopped meanwhile; rejects if the executor cannot be made ready.
 */
export async function prepare(
  context: JobContext,
  onStarted: (facts: Record<string, string>) => void,
): Promise<PrepareResult | undefined> {
  const { executor, log, settings, stop, variables } = context
  const prepared = await log.section('prepare_executor', `Preparing the "${executor.name}" executor`, async () => {
    const result = await unlessPulled(stop.everything, executor.runner.prepare(toPrepareInput(context)))
    if (result !== undefined) log.plain(`Using ${capitalize(executor.name)} (${result.shell}) executor...`)
    return result
  })
  if (prepared === undefined) return undefined
  onStarted({ executor: executor.name, ...prepared.facts })
  await log.section('prepare_script', 'Preparing environment', async () => {
    for (const warning of settings.warnings) log.warning(warning)
    for (const file of variables.files()) fs.writeFileSync(file.path, file.content, { mode: 0o600 })
    log.plain(`Running on ${prepared.facts.host ?? os.hostname()}...`)
  })
  return prepared
}

function toPrepareInput({ payload, session, folders, variables }: JobContext): PrepareInput {
  const { image, services, job, id } = payload
  const expand = (text: string) => variables.expand(text)
  return {
    session,
    job: {
      id,
      name: job.name,
      projectPath: job.projectPath,
      ...(image === undefined || image.name === '' ? {} : { image: toImage(image, expand) }),
      services: services.map((service) => toImage(service, expand)),
    },
    folders: { build: folders.build, temp: folders.temp },
  }
}

function toImage(image: JobImage, expand: (text: string) => string) {
  return {
    name: expand(image.name),
    ...(image.alias === '' ? {} : { alias: expand(image.alias) }),
    ...(image.command.length === 0 ? {} : { command: image.command }),
    ...(image.entrypoint.length === 0 ? {} : { entrypoint: image.entrypoint }),
    ...(image.pullPolicy.length === 0 ? {} : { pullPolicy: image.pullPolicy }),
  }
}

function capitalize(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
