/**
 * Blobs in a bucket of Amazon S3 or a service that speaks its protocol. Uploads go up in parts as they come; nothing is
 * there before the last one is acknowledged. What was kept on disk before stays readable: locations say where they are.
 * The packages for it are optional, and loaded only where a bucket is configured.
 */
import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import type { HeadObjectCommandInput, S3Client } from '@aws-sdk/client-s3'
import { SignalboxError } from '../errors.js'
import { type BlobRange, type BlobRooms, type BlobStore, rowWithinMs, type StoredBlob } from './blob-store.js'

/** The bucket, and how it is reached. `credentials` undefined: the AWS client's own search for them. */
export interface S3Settings {
  bucket: string
  /** Base URL; empty: Amazon's of the region. */
  endpoint: string
  region: string
  /** What every key begins with; empty, or with a slash at the end. */
  prefix: string
  /** The bucket stands in the path of addresses and not in the host's name. */
  pathStyle: boolean
  /** Undefined: as the AWS tools find them, in the environment, their files or from the machine's role. */
  credentials: { accessKeyId: string; secretAccessKey: string } | undefined
  /** Downloads that may be redirected go to the bucket itself. */
  directDownload: boolean
  /** `when_required`: for services that refuse the checksums that newer clients send by themselves. */
  requestChecksum: 'when_supported' | 'when_required'
}

/** How long the service may think about a request before it is given up; of an upload, about each part. */
const answersWithinMs = 60_000

/** Both stores in one bucket. Throws `unavailable` when the packages are not installed. */
export async function openS3Rooms(
  settings: S3Settings,
  disk: BlobRooms,
  timeoutMs: number = answersWithinMs,
): Promise<BlobRooms & { close(): void }> {
  const sdk = await loadSdk()
  const checksum = settings.requestChecksum === 'when_required' ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED'
  const client = new sdk.S3Client({
    region: settings.region,
    forcePathStyle: settings.pathStyle,
    requestChecksumCalculation: checksum,
    responseChecksumValidation: checksum,
    requestHandler: {
      connectionTimeout: timeoutMs,
      requestTimeout: timeoutMs,
      throwOnRequestTimeout: true,
    },
    ...(settings.endpoint === '' ? {} : { endpoint: settings.endpoint }),
    ...(settings.credentials ? { credentials: settings.credentials } : {}),
  })
  const room = (name: keyof BlobRooms) => new S3Blobs(sdk, client, settings, name, disk[name])
  return { artifacts: room('artifacts'), caches: room('caches'), close: () => client.destroy() }
}

type Sdk = Awaited<ReturnType<typeof loadSdk>>

async function loadSdk() {
  // The client warns that later versions of it will want a newer Node: ours is pinned, and what we need of Node is ours to say.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true'
  try {
    const [client, { Upload }, { getSignedUrl }] = await Promise.all([
      import('@aws-sdk/client-s3'),
      import('@aws-sdk/lib-storage'),
      import('@aws-sdk/s3-request-presigner'),
    ])
    return { ...client, Upload, getSignedUrl }
  } catch (error) {
    const packages = '@aws-sdk/client-s3, @aws-sdk/lib-storage and @aws-sdk/s3-request-presigner'
    throw new SignalboxError('unavailable', `[s3] needs the optional packages ${packages}`, { cause: error })
  }
}

const mark = 's3:'
/** Held in memory for each upload: one part that is sent, and one that fills. */
const partBytes = 8 * 1024 * 1024
const partsAtOnce = 2
/** How long the address of a direct download is good, in seconds. */
const linkS = 600

class S3Blobs implements BlobStore {
  /** Absent: nobody is sent to the bucket. */
  readonly link?: NonNullable<BlobStore['link']>

  constructor(
    private readonly sdk: Sdk,
    private readonly client: S3Client,
    private readonly settings: S3Settings,
    private readonly room: string,
    /** Where blobs without our mark are. */
    private readonly disk: BlobStore,
  ) {
    if (settings.directDownload) this.link = (location, filename) => this.#link(location, filename)
  }

  async store(source: Readable, limitBytes: number): Promise<StoredBlob> {
    const name = randomBytes(16).toString('hex')
    const location = `${mark}${this.settings.prefix}${this.room}/${name.slice(0, 2)}/${name}`
    const hash = createHash('sha256')
    let sizeBytes = 0
    let fault: unknown
    async function* measured(): AsyncGenerator<Buffer> {
      try {
        for await (const chunk of source as AsyncIterable<Buffer>) {
          sizeBytes += chunk.length
          if (sizeBytes > limitBytes) throw new SignalboxError('too_large', `a file may have ${limitBytes} bytes`)
          hash.update(chunk)
          yield chunk
        }
      } catch (error) {
        fault = error
        throw error
      }
    }
    try {
      await new this.sdk.Upload({
        client: this.client,
        params: { ...this.#place(location), Body: Readable.from(measured(), { objectMode: false }) },
        partSize: partBytes,
        queueSize: partsAtOnce,
      }).done()
    } catch (error) {
      source.destroy()
      throw fault ?? unreachable(error)
    }
    return { location, sizeBytes, sha256: hash.digest('hex') }
  }

  open(location: string, range?: BlobRange): Readable {
    if (!location.startsWith(mark)) return this.disk.open(location, range)
    const get = new this.sdk.GetObjectCommand({
      ...this.#place(location),
      ...(range ? { Range: `bytes=${range.start}-${range.end}` } : {}),
    })
    const { client } = this
    async function* bytes(): AsyncGenerator<Buffer> {
      const { Body } = await client.send(get).catch((error) => Promise.reject(unreachable(error)))
      const body = Body as Readable
      try {
        yield* body
      } finally {
        body.destroy()
      }
    }
    return Readable.from(bytes(), { objectMode: false })
  }

  async exists(location: string): Promise<boolean> {
    if (!location.startsWith(mark)) return this.disk.exists(location)
    try {
      await this.client.send(new this.sdk.HeadObjectCommand(this.#place(location)))
      return true
    } catch (error) {
      if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode === 404) return false
      throw unreachable(error)
    }
  }

  async remove(location: string): Promise<void> {
    if (!location.startsWith(mark)) return this.disk.remove(location)
    await this.client.send(new this.sdk.DeleteObjectCommand(this.#place(location))).catch((error) => {
      throw unreachable(error)
    })
  }

  /** Parts of uploads that were cut off are the bucket's to drop: another node may be sending some right now. */
  removeUnfinished(): Promise<void> {
    return this.disk.removeUnfinished()
  }

  /** Other nodes store here too, so the age alone decides. */
  async *settled(): AsyncGenerator<string> {
    yield* this.disk.settled()
    const { bucket, prefix } = this.settings
    const place = { Bucket: bucket, Prefix: `${prefix}${this.room}/` }
    for (let token: string | undefined; ; ) {
      const list = new this.sdk.ListObjectsV2Command({ ...place, ...(token ? { ContinuationToken: token } : {}) })
      const page = await this.client.send(list).catch((error) => Promise.reject(unreachable(error)))
      for (const { Key, LastModified } of page.Contents ?? []) {
        if (Key && LastModified && Date.now() - LastModified.getTime() > rowWithinMs) yield mark + Key
      }
      token = page.NextContinuationToken
      if (!token) return
    }
  }

  async #link(location: string, filename: string): Promise<string | undefined> {
    if (!location.startsWith(mark)) return undefined
    const get = new this.sdk.GetObjectCommand({
      ...this.#place(location),
      ResponseContentType: 'application/octet-stream',
      ResponseContentDisposition: `attachment; filename*=UTF-8''${encodeURIComponent(filename)}`,
    })
    return this.sdk.getSignedUrl(this.client, get, { expiresIn: linkS })
  }

  #place(location: string): HeadObjectCommandInput {
    return { Bucket: this.settings.bucket, Key: location.slice(mark.length) }
  }
}

function unreachable(cause: unknown): SignalboxError {
  return new SignalboxError('unavailable', 'the object store cannot do this now', { cause })
}
