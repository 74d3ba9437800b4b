/** Images: is one there, and how it gets there. */
import type { Engine } from './engine.js'
import { EngineError } from './engine.js'
import { withTag } from './image-names.js'
import type { PullPolicy } from './options.js'
import { type AuthSources, authHeader, authsFor } from './registry-auth.js'

/** What is used of an image. */
export interface Image {
  id: string
  /** The image's own ports, as `5432/tcp`. */
  ports: string[]
  user: string
}

/** The image cannot be had. */
export class ImageError extends Error {
  override readonly name = 'ImageError'
  constructor(
    message: string,
    /** `config`: it was never asked for, since what was asked for is not allowed. */
    readonly kind: 'pull' | 'config' = 'pull',
  ) {
    super(message)
  }
}

/** The policies of a job's image: its own if the runner allows them, else the runner's. Throws `ImageError`. */
export function effectivePolicies(
  asked: readonly string[] | undefined,
  runner: { pull_policy?: PullPolicy[] | undefined; allowed_pull_policies?: PullPolicy[] | undefined },
): PullPolicy[] {
  const own = runner.pull_policy ?? ['always']
  const allowed = runner.allowed_pull_policies ?? own
  const wanted = asked === undefined || asked.length === 0 ? own : asked
  const usable = wanted.filter((each): each is PullPolicy => allowed.some((one) => one === each))
  if (usable.length > 0) return usable
  throw new ImageError(
    `pull_policy ${list(wanted)} is not among those that this runner allows: ${list(allowed)}`,
    'config',
  )
}

export interface ImageWanted {
  name: string
  platform: string | undefined
  policies: readonly PullPolicy[]
}

/** Gets the image by the first policy that succeeds. Throws `ImageError`. */
export async function getImage(
  engine: Engine,
  { name, platform, policies }: ImageWanted,
  auth: AuthSources,
  say: (text: string) => Promise<void>,
): Promise<Image> {
  const problems: string[] = []
  for (const [index, policy] of policies.entries()) {
    if (index > 0) await say(`Trying again with pull_policy ${policy}`)
    try {
      return await byPolicy(engine, policy, { name, platform }, auth, say)
    } catch (error) {
      if (!(error instanceof ImageError)) throw error
      problems.push(error.message)
    }
  }
  throw new ImageError([...new Set(problems)].join('; '))
}

async function byPolicy(
  engine: Engine,
  policy: PullPolicy,
  { name, platform }: { name: string; platform: string | undefined },
  auth: AuthSources,
  say: (text: string) => Promise<void>,
): Promise<Image> {
  if (policy !== 'always') {
    const present = await inspect(engine, name)
    if (present !== undefined) {
      await say(`Using locally found image version due to "${policy}" pull policy`)
      return present
    }
    if (policy === 'never') throw new ImageError(`the image ${name} is not on this host, and pull_policy is never`)
  }
  await pull(engine, name, platform, auth, say)
  const pulled = await inspect(engine, name)
  if (pulled === undefined) throw new ImageError(`the image ${name} was pulled and is not there`)
  return pulled
}

async function inspect(engine: Engine, name: string): Promise<Image | undefined> {
  try {
    const found = await engine.call<{
      Id: string
      Config?: { ExposedPorts?: Record<string, unknown> | null; User?: string } | null
    }>('GET', `/images/${name}/json`)
    return { id: found.Id, ports: Object.keys(found.Config?.ExposedPorts ?? {}), user: found.Config?.User ?? '' }
  } catch (error) {
    if (error instanceof EngineError && error.status === 404) return undefined
    throw error instanceof EngineError ? new ImageError(`the image ${name}: ${error.message}`) : error
  }
}

async function pull(
  engine: Engine,
  name: string,
  platform: string | undefined,
  sources: AuthSources,
  say: (text: string) => Promise<void>,
): Promise<void> {
  const auths = await authsFor(name, sources).catch((error: Error) => {
    throw new ImageError(error.message, 'config')
  })
  await say(`Pulling docker image ${name} ...`)
  // Those who know us may be wrong about it, and most images need nobody: without credentials comes last.
  const tries = [...auths, undefined]
  let problem = ''
  for (const one of tries) {
    if (one !== undefined) await say(`Authenticating with credentials from ${one.from}`)
    try {
      await pullOnce(engine, name, platform, one === undefined ? {} : authHeader(one.auth))
      return
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      // The first refusal says most: it is of the credentials that were meant for it.
      problem ||= error.message
    }
  }
  throw new ImageError(`cannot pull the image ${name}: ${problem}`)
}

async function pullOnce(
  engine: Engine,
  name: string,
  platform: string | undefined,
  headers: Record<string, string>,
): Promise<void> {
  const answer = await engine.stream('POST', '/images/create', {
    query: { fromImage: withTag(name), platform },
    headers,
    timeoutMs: pullSilenceMs,
  })
  // The status is 200 before anything has happened; what goes wrong is in one of the lines.
  answer.setEncoding('utf8')
  let held = ''
  let problem: string | undefined
  const read = (line: string) => {
    if (line.trim() === '') return
    const { error, errorDetail } = JSON.parse(line) as { error?: string; errorDetail?: { message?: string } }
    problem ??= errorDetail?.message ?? error
  }
  for await (const chunk of answer as AsyncIterable<string>) {
    const lines = (held + chunk).split('\n')
    held = lines.pop()!
    for (const line of lines) read(line)
  }
  read(held)
  if (problem !== undefined) throw new EngineError(404, problem.trim())
}

/** A registry that says nothing for so long is given up. */
const pullSilenceMs = 10 * 60_000

function list(words: readonly string[]): string {
  return `[${words.join(', ')}]`
}
