/** What the APIs answer, as far as the page reads it. */

export interface User {
  id: number
  username: string
  name: string
  is_admin?: boolean
}

export interface Project {
  id: number
  name: string
  path_with_namespace: string
  description: string | null
  default_branch: string
  visibility: string
}

export interface PipelineRow {
  id: number
  iid: number
  project_id: number
  status: string
  source: string
  ref: string
  sha: string
  name: string | null
  created_at: string
  updated_at: string
}

export interface Pipeline extends PipelineRow {
  user: User | null
  started_at: string | null
  finished_at: string | null
  duration: number | null
  yaml_errors: string | null
}

/** A job of a pipeline as its stream tells it; times in milliseconds since 1970. */
export interface JobView {
  id: number
  name: string
  stage: string
  status: string
  allow_failure: boolean
  failure_reason: string | null
  failure_message: string | null
  failure_lines: string[]
  runner: string | null
  transport: string | null
  created_at: number
  queued_at: number | null
  started_at: number | null
  finished_at: number | null
}

/** Which job needs which: ids by id. A job that comes after whole stages is not in it. */
export type Needs = Readonly<Record<string, number[]>>

export interface PipelineState {
  id: number
  status: string
  jobs: JobView[]
}

export interface Failure {
  reason: string
  class: string
  explanation: string
  retryable: boolean | null
  confidence: number | null
  decided_by: string | null
  lines: string[]
}

export interface JobPlace {
  id: number
  pipeline_id: number
  name: string
  status: string
  project_id: number
  project_path: string
  failure?: Failure
}

export interface Why {
  status: string
  waits_for: string
  summary: string
  since: string | null
  expected_start: string | null
  place?: number
  needs?: { tags: string[]; protected: boolean; features: string[] }
  runners?: { id: number; description: string; fits: boolean; lacks: string[] }[]
  blocked_by?: { id: number; name: string; status: string }[]
  manual_confirmation?: string
}
