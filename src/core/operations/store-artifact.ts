/** A runner uploads an artifact of its job: the bytes are on disk before the row that names them is committed. */
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { type Artifact, artifactFormats, takesFormat } from '../artifact.js'
import { keepBlob, type StoredBlob } from '../blobs/blob-store.js'
import { parseDuration } from '../ci-config/duration.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { type DotenvVariable, parseDotenv } from '../payload/dotenv.js'
import { writeUnderLease } from '../steps/write-under-lease.js'
import { findArtifact, insertArtifact, moveArtifact } from '../store/artifacts.js'
import { saveDotenvVariables } from '../store/dotenv-variables.js'

/** A stream of bytes, under the lease of the job that they are of. */
export interface StoreArtifactInput {
  jobId: number
  fence: number
  filename: string
  body: Readable
  /** What is known of it now: all that the sender says, once the body has ended. */
  about: () => AboutArtifact
}

/** What the runner says of a file that it uploads. */
export interface AboutArtifact {
  /** Default `archive`. */
  type: string | undefined
  /** Default `zip`. */
  format: string | undefined
  /** As the job's `expire_in` says: a duration, `never`, or nothing. */
  expireIn: string | undefined
}

/**
 * Returns the artifact. The same bytes again give the first one. Throws `fenced` when the lease is not open; `too_large`;
 * `invalid` for an unknown type, a format that it does not come in, a wrong duration, a dotenv report that is none, or
 * other bytes than the first upload's.
 */
export async function storeArtifact(core: Core, input: StoreArtifactInput): Promise<Artifact> {
  refuseEarly(core, input.about())
  const blob = await core.artifacts.store(input.body, core.settings.artifactLimitBytes)
  return keepBlob(core.artifacts, blob, async () => {
    const { type, format, expiresAt } = checked(core, input.about())
    const variables = type === 'dotenv' ? await readDotenv(core, blob) : []
    const before = await findArtifact(core.store.read, input.jobId, type)
    // Bytes that a disk or a bucket has lost do not count: these take their place.
    const isLost = before?.sha256 === blob.sha256 && !(await core.artifacts.exists(before.location))
    return core.store.write(async (tx) => {
      const job = await writeUnderLease(core, tx, input)
      const known = await findArtifact(tx, job.id, type)
      if (known && known.sha256 !== blob.sha256) {
        throw new SignalboxError('invalid', `the job has another ${type} artifact already`)
      }
      if (known) {
        if (!isLost || known.location !== before?.location) return known
        await moveArtifact(tx, known.id, blob.location)
        return { ...known, location: blob.location }
      }
      if (variables.length > 0) {
        await saveDotenvVariables(tx, job.id, core.keys.seal(Buffer.from(JSON.stringify(variables))))
      }
      return insertArtifact(tx, {
        jobId: job.id,
        projectId: job.projectId,
        type,
        format,
        filename: input.filename,
        sizeBytes: blob.sizeBytes,
        sha256: blob.sha256,
        location: blob.location,
        expiresAt,
      })
    })
  })
}

/** Refuses what nothing behind the body can make right, before it is read. */
function refuseEarly(core: Core, { type, format, expireIn }: AboutArtifact): void {
  if (type !== undefined && format !== undefined) checkFormat(type, format)
  expiryOf(core, expireIn)
}

function checked(core: Core, { type = 'archive', format = 'zip', expireIn }: AboutArtifact) {
  checkFormat(type, format)
  return { type, format, expiresAt: expiryOf(core, expireIn) }
}

function checkFormat(type: string, format: string): void {
  if (!Object.hasOwn(artifactFormats, type)) throw new SignalboxError('invalid', 'artifact_type is unknown')
  if (!takesFormat(type, format)) {
    throw new SignalboxError('invalid', `artifact_format of ${type} must be ${artifactFormats[type]}`)
  }
}

/** In milliseconds since 1970; null: never. */
function expiryOf(core: Core, expireIn: string | undefined): number | null {
  if (expireIn === undefined || expireIn === '') {
    const { artifactExpiryMs } = core.settings
    return artifactExpiryMs === null ? null : core.clock.now() + artifactExpiryMs
  }
  if (expireIn.trim().toLowerCase() === 'never') return null
  const seconds = parseDuration(expireIn)
  if (seconds === undefined) throw new SignalboxError('invalid', 'expire_in is not a duration')
  return core.clock.now() + Math.round(seconds * 1000)
}

async function readDotenv(core: Core, blob: StoredBlob): Promise<DotenvVariable[]> {
  const { dotenvLimitBytes, dotenvLimitVariables } = core.settings
  const limits = { bytes: dotenvLimitBytes, variables: dotenvLimitVariables }
  // One byte over the limit is enough to be refused.
  const file = await buffer(core.artifacts.open(blob.location, { start: 0, end: dotenvLimitBytes }))
  return parseDotenv(file, limits)
}
