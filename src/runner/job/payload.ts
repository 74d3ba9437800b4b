/**
 * The job as GitLab's `POST /jobs/request` answers it, reduced to what this runner uses. Unknown fields are ignored and
 * `null` counts as absent, as in GitLab Runner (`common/spec/spec.go`).
 */
export interface JobPayload {
  id: number
  token: string
  allowGitFetch: boolean
  job: { name: string; stage: string; projectId: number; projectName: string; projectPath: string }
  queue: QueueFigures
  git: {
    repoUrl: string
    ref: string
    sha: string
    refspecs: string[]
    depth: number
    objectFormat: string
  }
  /** Of the whole job; two hours if the payload says nothing. */
  timeoutMs: number
  variables: JobVariable[]
  steps: { name: string; script: string[] }[]
  hooks: { preGetSources: string[]; postGetSources: string[] }
  image: JobImage | undefined
  services: (JobImage & { variables: JobVariable[] })[]
  /** Users of registries. */
  credentials: { url: string; username: string; password: string }[]
  artifacts: ArtifactSpec[]
  dependencies: { id: number; name: string; token: string; filename: string }[]
  features: { traceSections: boolean; tokenMaskPrefixes: string[]; failureReasons: string[] }
  /** True for a job whose work is `run:` steps instead of a script. */
  hasRunSteps: boolean
  inputs: number
  /** Secrets that the runner itself would have to fetch. */
  secrets: string[]
  caches: CacheSpec[]
}

export interface JobVariable {
  key: string
  value: string
  /** The value is written to a file and the variable holds its path. */
  file: boolean
  masked: boolean
  /** The value is taken as it is: no `$VAR` in it is expanded. */
  raw: boolean
  /** No secret: services are given it too. */
  public: boolean
}

export interface JobImage {
  name: string
  alias: string
  command: string[]
  entrypoint: string[]
  pullPolicy: string[]
  /** Of `docker:`; empty where nothing is said. */
  platform: string
  user: string
}

export interface ArtifactSpec {
  name: string
  untracked: boolean
  paths: string[]
  exclude: string[]
  when: string
  type: string
  format: string
  expireIn: string
}

export interface CacheSpec {
  key: string
  fallbackKeys: string[]
  untracked: boolean
  policy: string
  paths: string[]
  when: string
}

/** The job's way through the queue, as the coordinator tells it. */
export interface QueueFigures {
  /** Whole seconds from pending to the hand-out; 0 where it is not told. */
  waitedS: number
  /** Other jobs of the project on instance runners: `0` to `4`, `5+`; `+Inf` on other runners. Empty where it is not told. */
  jobsRunning: string
  /** Jobs that could have been handed out, and the place of this one among them, from 1. */
  size: number
  depth: number
}

/**
 * Reads a payload.
 * @throws Error with a sentence that names the field at fault.
 */
export function parsePayload(bytes: Uint8Array): JobPayload {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (error) {
    throw new Error('the payload is not JSON', { cause: error })
  }
  const root = new Fields(value, 'payload')
  const info = root.object('job_info')
  const git = root.object('git_info')
  const features = root.object('features')
  const hooks = root.list('hooks')
  const hook = (name: string) =>
    hooks.filter((each) => each.text('name') === name).flatMap((each) => each.texts('script'))
  const timeout = root.object('runner_info').number('timeout')
  return {
    id: root.number('id'),
    token: root.text('token'),
    allowGitFetch: root.flag('allow_git_fetch'),
    job: {
      name: info.text('name'),
      stage: info.text('stage'),
      projectId: info.number('project_id'),
      projectName: info.text('project_name'),
      projectPath: info.text('project_full_path'),
    },
    queue: {
      waitedS: info.number('time_in_queue_seconds'),
      jobsRunning: info.text('project_jobs_running_on_instance_runners_count'),
      size: info.number('queue_size'),
      depth: info.number('queue_depth'),
    },
    git: {
      repoUrl: git.text('repo_url'),
      ref: git.text('ref'),
      sha: git.text('sha'),
      refspecs: git.texts('refspecs'),
      depth: git.number('depth'),
      objectFormat: git.text('repo_object_format') || 'sha1',
    },
    timeoutMs: (timeout > 0 ? timeout : defaultTimeoutSeconds) * 1000,
    variables: root.list('variables').map(toVariable),
    steps: root.list('steps').map((step) => ({ name: step.text('name'), script: step.texts('script') })),
    hooks: { preGetSources: hook('pre_get_sources_script'), postGetSources: hook('post_get_sources_script') },
    image: root.has('image') ? toImage(root.object('image')) : undefined,
    services: root.list('services').map((service) => ({
      ...toImage(service),
      variables: service.list('variables').map(toVariable),
    })),
    credentials: root
      .list('credentials')
      .filter((each) => each.text('type') === 'registry')
      .map((each) => ({ url: each.text('url'), username: each.text('username'), password: each.text('password') })),
    artifacts: root.list('artifacts').map((artifact) => ({
      name: artifact.text('name'),
      untracked: artifact.flag('untracked'),
      paths: artifact.texts('paths'),
      exclude: artifact.texts('exclude'),
      when: artifact.text('when') || 'on_success',
      type: artifact.text('artifact_type'),
      format: artifact.text('artifact_format'),
      expireIn: artifact.text('expire_in'),
    })),
    dependencies: root.list('dependencies').map((dependency) => ({
      id: dependency.number('id'),
      name: dependency.text('name'),
      token: dependency.text('token'),
      filename: dependency.object('artifacts_file').text('filename'),
    })),
    features: {
      traceSections: features.flag('trace_sections'),
      tokenMaskPrefixes: features.texts('token_mask_prefixes'),
      failureReasons: features.texts('failure_reasons'),
    },
    hasRunSteps: root.text('run') !== '',
    inputs: root.list('inputs').length,
    secrets: root.object('secrets').names,
    caches: root.list('cache').map((cache) => ({
      key: cache.text('key'),
      fallbackKeys: cache.texts('fallback_keys'),
      untracked: cache.flag('untracked'),
      policy: cache.text('policy'),
      paths: cache.texts('paths'),
      when: cache.text('when') || 'on_success',
    })),
  }
}

// GitLab Runner, `common/consts.go`: DefaultTimeout.
const defaultTimeoutSeconds = 7200

function toVariable(variable: Fields): JobVariable {
  return {
    key: variable.text('key'),
    value: variable.text('value'),
    file: variable.flag('file'),
    masked: variable.flag('masked'),
    raw: variable.flag('raw'),
    public: variable.flag('public'),
  }
}

function toImage(image: Fields): JobImage {
  const docker = image.object('executor_opts').object('docker')
  return {
    name: image.text('name'),
    alias: image.text('alias'),
    command: image.texts('command'),
    entrypoint: image.texts('entrypoint'),
    pullPolicy: image.texts('pull_policy'),
    platform: docker.text('platform'),
    user: docker.text('user'),
  }
}

/** A JSON object being read; each accessor gives the field's zero value where the field is absent. */
class Fields {
  readonly #fields: Record<string, unknown>

  constructor(
    value: unknown,
    private readonly path: string,
  ) {
    if (value !== undefined && value !== null && (typeof value !== 'object' || Array.isArray(value))) {
      throw new Error(`${path} must be an object`)
    }
    this.#fields = (value ?? {}) as Record<string, unknown>
  }

  get names(): string[] {
    return Object.keys(this.#fields)
  }

  has(name: string): boolean {
    return (this.#fields[name] ?? undefined) !== undefined
  }

  text(name: string): string {
    return this.#get(name, '', (value): value is string => typeof value === 'string', 'a string')
  }

  number(name: string): number {
    return this.#get(name, 0, (value): value is number => typeof value === 'number', 'a number')
  }

  flag(name: string): boolean {
    return this.#get(name, false, (value): value is boolean => typeof value === 'boolean', 'true or false')
  }

  texts(name: string): string[] {
    const isTexts = (value: unknown): value is string[] =>
      Array.isArray(value) && value.every((each) => typeof each === 'string')
    return this.#get(name, [], isTexts, 'a list of strings')
  }

  object(name: string): Fields {
    return new Fields(this.#fields[name], `${this.path}.${name}`)
  }

  list(name: string): Fields[] {
    const items = this.#get(name, [], (value): value is unknown[] => Array.isArray(value), 'a list')
    return items.map((item, index) => new Fields(item, `${this.path}.${name}[${index}]`))
  }

  #get<T>(name: string, absent: T, is: (value: unknown) => value is T, what: string): T {
    const value = this.#fields[name] ?? undefined
    if (value === undefined) return absent
    if (!is(value)) throw new Error(`${this.path}.${name} must be ${what}`)
    return value
  }
}
