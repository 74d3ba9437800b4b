/** A job that the runner under judgement is handed: a script, no sources, nothing to transfer. */
export interface KitJob {
  id: number
  fence: number
  offerId: string
  payload: Buffer
  /** What came of its log, as far as it was kept. */
  log: Buffer
  /** LogAck is sent for what comes. */
  acksLog: boolean
  /** StateUpdate is answered. */
  acksReports: boolean
  /** Bytes of log that may be on their way. */
  window: number
  /** How Accept is answered; `wait`: not yet. */
  accepting: 'held' | 'abandon' | 'wait'
  /** So many chunks more are lost on their way. */
  losing: number
  over: boolean
}

/** A job with this script. Its payload is the shape of GitLab's `POST /jobs/request` answer. */
export function makeJob(id: number, script: string[], treat: Partial<KitJob> = {}): KitJob {
  const variable = (key: string, value: string) => ({ key, value, public: true, file: false, masked: false, raw: true })
  const payload = {
    id,
    token: `glcbt-check-${id}`,
    allow_git_fetch: true,
    job_info: {
      id,
      name: `check-${id}`,
      stage: 'test',
      project_id: 1,
      project_name: 'check',
      project_full_path: 'ops/check',
    },
    git_info: {
      ...{ repo_url: 'http://127.0.0.1:9/ops/check.git', repo_object_format: 'sha1', ref: 'main', ref_type: 'branch' },
      ...{ sha: '0'.repeat(40), before_sha: '0'.repeat(40), refspecs: [], depth: 0 },
    },
    runner_info: { timeout: 120 },
    variables: [variable('GIT_STRATEGY', 'none'), variable('CI_JOB_ID', String(id)), variable('CHECKED', 'by the kit')],
    steps: [{ name: 'script', script, timeout: 120, when: 'on_success', allow_failure: false }],
    ...{ image: null, services: [], artifacts: null, cache: [], credentials: [], dependencies: [], hooks: [] },
    features: {
      trace_sections: false,
      token_mask_prefixes: [],
      failure_reasons: ['script_failure', 'runner_system_failure'],
    },
  }
  return {
    ...{
      id,
      fence: id * 7,
      offerId: `offer-${id}`,
      payload: Buffer.from(JSON.stringify(payload)),
      log: Buffer.alloc(0),
    },
    ...{ acksLog: true, acksReports: true, window: 256 * 1024, accepting: 'held', losing: 0, over: false },
    ...treat,
  }
}
