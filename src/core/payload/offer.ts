/** What a runner is handed: a lease on a job, with the whole payload. */
export interface Offer {
  leaseId: number
  jobId: number
  fence: number
  projectId: number
  pipelineId: number
  jobName: string
  timeoutS: number
  /** Null: accepted already, the job is running. */
  acceptWithinMs: number | null
  /** GitLab's job response as JSON text. */
  payload: Buffer
}
