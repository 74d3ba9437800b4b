/** Stages: artifacts before and after the scripts. */
import { attempt } from './attempt.js'
import type { JobContext } from './context.js'
import { doorOf } from './door.js'
import { hostPath } from './folders.js'
import type { ArtifactSpec } from './payload.js'
import type { Failure } from './report.js'

/** Fetches what other jobs have kept, as often as it may try. */
export async function downloadArtifacts(context: JobContext): Promise<Failure | undefined> {
  const { payload, settings, folders, log, stop } = context
  // Without a file name there is no archive: GitLab Runner, `shells/abstract.go` (jobArtifacts).
  const dependencies = payload.dependencies.filter((each) => each.filename !== '')
  if (dependencies.length === 0 || stop.everything.aborted) return undefined
  const { downloadArtifact } = await import('../artifacts/download.js')
  return attempt(context, settings.downloadAttempts, () =>
    log.section('download_artifacts', 'Downloading artifacts', async () => {
      for (const dependency of dependencies) {
        const problem = await downloadArtifact(dependency, folders, doorOf(context), log)
        if (problem !== undefined) return toFailure(problem)
      }
      return undefined
    }),
  )
}

/** Uploads what is to be kept of a job that ended so, up to the first that fails. */
export async function uploadArtifacts(context: JobContext, success: boolean): Promise<Failure | undefined> {
  const { payload, folders, log, stop } = context
  const wanted = [success ? 'on_success' : 'on_failure', 'always']
  const artifacts = payload.artifacts.filter(
    (each) => wanted.includes(each.when) && (each.paths.length > 0 || each.untracked),
  )
  if (artifacts.length === 0 || stop.everything.aborted) return undefined
  const { uploadArtifact } = await import('../artifacts/upload.js')
  const stage = `upload_artifacts_on_${success ? 'success' : 'failure'}`
  return log.section(stage, `Uploading artifacts for ${success ? 'successful' : 'failed'} job`, async () => {
    for (const artifact of artifacts) {
      const problem = await uploadArtifact(expanded(artifact, context), folders.build, doorOf(context), log)
      if (problem !== undefined) return toFailure(problem)
    }
    return undefined
  })
}

function expanded(artifact: ArtifactSpec, { variables, folders }: JobContext): ArtifactSpec {
  const expand = (text: string) => hostPath(folders, variables.expand(text))
  const { name, paths, exclude } = artifact
  return { ...artifact, name: variables.expand(name), paths: paths.map(expand), exclude: exclude.map(expand) }
}

/** Source of the exit code: GitLab Runner, whose helper ends with 1 then. */
function toFailure(message: string): Failure {
  return { reason: 'script_failure', message, exitCode: 1 }
}
