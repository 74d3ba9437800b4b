/** What a test says about a job; the rest is what a coordinator would add. */
export interface PayloadSpec {
  name?: string
  script?: string[]
  afterScript?: string[]
  variables?: Record<string, string | { value: string; file?: boolean; masked?: boolean; raw?: boolean }>
  timeoutSeconds?: number
  sections?: boolean
  /** Merged over the top level of the payload. */
  extra?: Record<string, unknown>
}

export function buildPayload(id: number, token: string, url: string, spec: PayloadSpec): Buffer {
  const variables = Object.entries({ GIT_STRATEGY: 'none', ...spec.variables }).map(([key, given]) => {
    const { value, file = false, masked = false, raw = false } = typeof given === 'string' ? { value: given } : given
    return { key, value, public: !masked, file, masked, raw }
  })
  const step = (name: string, script: string[]) => ({ name, script, timeout: 60, when: 'always', allow_failure: false })
  const payload = {
    id,
    token,
    allow_git_fetch: true,
    job_info: {
      id,
      name: spec.name ?? `job-${id}`,
      stage: 'test',
      project_id: 1,
      project_name: 'demo',
      project_full_path: 'ops/demo',
    },
    git_info: {
      repo_url: `${url}/ops/demo.git`,
      ref: 'main',
      sha: '0f3c9a1b7d5e2468ace013579bdf02468ace1357',
      refspecs: [],
      depth: 0,
    },
    runner_info: { timeout: spec.timeoutSeconds ?? 60 },
    variables: [
      { key: 'CI_JOB_ID', value: String(id), public: true, file: false, masked: false, raw: true },
      { key: 'CI_JOB_TOKEN', value: token, public: false, file: false, masked: true, raw: true },
      ...variables,
    ],
    steps: [
      step('script', spec.script ?? ['echo hello']),
      ...(spec.afterScript === undefined ? [] : [step('after_script', spec.afterScript)]),
    ],
    features: { trace_sections: spec.sections ?? false, token_mask_prefixes: [], failure_reasons: allReasons },
    ...spec.extra,
  }
  return Buffer.from(JSON.stringify(payload))
}

const allReasons = [
  'unknown_failure',
  'script_failure',
  'runner_system_failure',
  'job_execution_timeout',
  'image_pull_failure',
  'runner_configuration_error',
  'runner_external_dependency_failure',
  'runner_interrupted',
  'job_canceled',
]
