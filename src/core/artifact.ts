/** Artifacts: files kept from a job. */
export interface Artifact {
  id: number
  jobId: number
  projectId: number
  type: string
  format: string
  filename: string
  sizeBytes: number
  sha256: string
  location: string
  expiresAt: number | null
  createdAt: number
}

/** The format of each type: gitlab app/models/concerns/enums/ci/job_artifact.rb. */
export const artifactFormats: Readonly<Record<string, string>> = {
  archive: 'zip',
  metadata: 'gzip',
  trace: 'raw',
  junit: 'gzip',
  dotenv: 'gzip',
  cobertura: 'gzip',
  jacoco: 'gzip',
  metrics: 'gzip',
  metrics_referee: 'gzip',
  network_referee: 'gzip',
  cyclonedx: 'gzip',
  annotations: 'gzip',
  repository_xray: 'gzip',
  lsif: 'zip',
  scip: 'zip',
  codequality: 'raw',
  accessibility: 'raw',
  terraform: 'raw',
  performance: 'raw',
  browser_performance: 'raw',
  load_performance: 'raw',
  sast: 'raw',
  secret_detection: 'raw',
  dependency_scanning: 'raw',
  container_scanning: 'raw',
  cluster_image_scanning: 'raw',
  dast: 'raw',
  api_fuzzing: 'raw',
  coverage_fuzzing: 'raw',
  license_scanning: 'raw',
  requirements: 'raw',
  requirements_v2: 'raw',
  sarif: 'raw',
}

const archiveFormats: readonly string[] = ['zip', 'zipzstd', 'tarzstd']

/** Whether an artifact of this type may come in this format. */
export function takesFormat(type: string, format: string): boolean {
  if (!Object.hasOwn(artifactFormats, type)) return false
  return type === 'archive' ? archiveFormats.includes(format) : artifactFormats[type] === format
}
