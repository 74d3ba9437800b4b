/**
 * The job response as GitLab Runner decodes it (gitlab-runner common/spec/spec.go): Go refuses the whole of it for one value
 * of another type, and the job is lost. Fields that are not listed are ignored by the runner, `null` is taken everywhere
 * but for `run`.
 */
type Check = (value: unknown, path: string, wrong: string[]) => void

const typed =
  (is: (value: unknown) => boolean, name: string): Check =>
  (value, path, wrong) => {
    if (value !== null && !is(value)) wrong.push(`${path}: ${JSON.stringify(value)} is no ${name}`)
  }

const text = typed((value) => typeof value === 'string', 'text')
const int = typed(Number.isSafeInteger, 'integer')
const float = typed((value) => typeof value === 'number', 'number')
const bool = typed((value) => typeof value === 'boolean', 'boolean')
const textOrInt = typed((value) => typeof value === 'string' || Number.isSafeInteger(value), 'text or integer')
const oneOf = (...words: string[]) => typed((value) => words.includes(value as string), `one of ${words.join(', ')}`)

const list =
  (of: Check): Check =>
  (value, path, wrong) => {
    if (value === null) return
    if (!Array.isArray(value)) wrong.push(`${path}: no list`)
    else for (const [i, one] of value.entries()) of(one, `${path}[${i}]`, wrong)
  }

const record =
  (fields: Record<string, Check>, closed = false): Check =>
  (value, path, wrong) => {
    if (value === null) return
    if (typeof value !== 'object' || Array.isArray(value)) {
      wrong.push(`${path}: no object`)
      return
    }
    for (const [key, one] of Object.entries(value)) {
      if (fields[key]) fields[key](one, `${path}.${key}`, wrong)
      else if (closed) wrong.push(`${path}.${key}: makes the runner fail the job`)
    }
  }

const variable = record({ key: text, value: text, public: bool, file: bool, masked: bool, raw: bool })
const image = record({
  name: text,
  alias: text,
  command: list(text),
  entrypoint: list(text),
  ports: list(record({ number: int, protocol: text, name: text })),
  variables: list(variable),
  pull_policy: list(oneOf('always', 'if-not-present', 'never')),
  executor_opts: record(
    { docker: record({ platform: text, user: textOrInt }, true), kubernetes: record({ user: textOrInt }, true) },
    true,
  ),
})
const onSuccess = oneOf('', 'on_success', 'on_failure', 'always')

/** `run` is a text that holds the steps. */
const run: Check = (value, path, wrong) => {
  try {
    if (typeof value === 'string' && Array.isArray(JSON.parse(value))) return
  } catch {}
  wrong.push(`${path}: no text with a JSON list`)
}

/** A map with keys of the author's. */
const mapOf =
  (of: Check): Check =>
  (value, path, wrong) => {
    if (value === null) return
    if (typeof value !== 'object' || Array.isArray(value)) wrong.push(`${path}: no object`)
    else for (const [key, one] of Object.entries(value)) of(one, `${path}.${key}`, wrong)
  }

const engine = record({ name: text, path: text })
const secret = record({
  file: bool,
  vault: record({
    server: record({
      url: text,
      namespace: text,
      auth: record({ name: text, path: text, data: mapOf(text) }),
    }),
    engine,
    path: text,
    field: text,
  }),
  gcp_secret_manager: record({
    name: text,
    version: text,
    server: record({
      project_number: text,
      workload_identity_federation_pool_id: text,
      workload_identity_federation_provider_id: text,
      jwt: text,
    }),
  }),
  azure_key_vault: record({
    name: text,
    version: text,
    server: record({ client_id: text, tenant_id: text, jwt: text, url: text }),
  }),
  aws_secrets_manager: record({
    secret_id: text,
    version_id: text,
    version_stage: text,
    field: text,
    region: text,
    role_arn: text,
    role_session_name: text,
    server: record({ region: text, jwt: text, role_arn: text, role_session_name: text }),
  }),
})

const payload = record({
  id: int,
  token: text,
  allow_git_fetch: bool,
  job_info: record({
    id: int,
    name: text,
    stage: text,
    pipeline_id: int,
    project_id: int,
    project_name: text,
    project_full_path: text,
    namespace_id: int,
    root_namespace_id: int,
    organization_id: int,
    user_id: int,
    scoped_user_id: int,
    instance_id: text,
    instance_uuid: text,
    time_in_queue_seconds: float,
    project_jobs_running_on_instance_runners_count: text,
    queue_size: int,
    queue_depth: int,
  }),
  git_info: record({
    repo_url: text,
    repo_object_format: oneOf('', 'sha1', 'sha256'),
    ref: text,
    ref_type: oneOf('branch', 'tag'),
    sha: text,
    before_sha: text,
    refspecs: list(text),
    depth: int,
    protected: bool,
  }),
  runner_info: record({ uuid: text, timeout: int }),
  inputs: list(record({ key: text, value: record({ type: text, sensitive: bool }) })),
  variables: list(variable),
  steps: list(record({ name: text, script: list(text), timeout: int, when: onSuccess, allow_failure: bool })),
  hooks: list(record({ name: oneOf('pre_get_sources_script', 'post_get_sources_script'), script: list(text) })),
  image,
  services: list(image),
  artifacts: list(
    record({
      name: text,
      untracked: bool,
      paths: list(text),
      exclude: list(text),
      when: onSuccess,
      artifact_type: text,
      artifact_format: oneOf('', 'zip', 'gzip', 'raw', 'zipzstd', 'tarzstd'),
      expire_in: text,
    }),
  ),
  cache: list(
    record({
      key: text,
      untracked: bool,
      policy: oneOf('', 'pull-push', 'pull', 'push'),
      paths: list(text),
      when: onSuccess,
      fallback_keys: list(text),
    }),
  ),
  credentials: list(record({ type: text, url: text, username: text, password: text })),
  dependencies: list(
    record({ id: int, token: text, name: text, artifacts_file: record({ filename: text, size: int }) }),
  ),
  features: record({ trace_sections: bool, token_mask_prefixes: list(text), failure_reasons: list(text) }),
  secrets: mapOf(secret),
  run,
})

/** What of a payload the runner would refuse. */
export function refusedOf(job: unknown): string[] {
  const wrong: string[] = []
  payload(job, 'job', wrong)
  return wrong
}

/** A variable as a runner gets it. */
export interface PayloadVariable {
  key: string
  value: string
  public: boolean
  masked: boolean
  file: boolean
  raw: boolean
}
