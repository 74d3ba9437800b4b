/** What is kept of a report in the database: enough for lists and pages. */
import type { Artifact } from '../artifact.js'
import type { QualityCounts } from './code-quality.js'
import type { LineCoverage } from './coverage-report.js'
import type { Read, ReportReader } from './report-reader.js'
import { countTests, type TestCounts } from './tests.js'

/** By the artifact type; `problem` says in words why it could not be read. */
export type ReportSummary =
  | ({ kind: 'junit'; problem: string | null } & TestCounts)
  | ({ kind: 'cobertura' | 'jacoco'; problem: string | null } & LineCoverage)
  | ({ kind: 'codequality'; problem: string | null } & Partial<QualityCounts>)

const summaries: Readonly<Record<string, (reader: ReportReader, artifact: Artifact) => Promise<ReportSummary>>> = {
  junit: async (reader, artifact) => {
    const read = await reader.tests(artifact)
    return { kind: 'junit', problem: problemOf(read), ...countTests(read.ok ? read.value : []) }
  },
  cobertura: (reader, artifact) => coverage(reader, artifact, 'cobertura'),
  jacoco: (reader, artifact) => coverage(reader, artifact, 'jacoco'),
  codequality: async (reader, artifact) => {
    const read = await reader.codeQuality(artifact)
    return { kind: 'codequality', problem: problemOf(read), ...(read.ok ? read.value : {}) }
  },
}

async function coverage(
  reader: ReportReader,
  artifact: Artifact,
  kind: 'cobertura' | 'jacoco',
): Promise<ReportSummary> {
  const read = await reader.coverage(artifact)
  return { kind, problem: problemOf(read), ...(read.ok ? read.value : { lines: 0, covered: 0 }) }
}

function problemOf(read: Read<unknown>): string | null {
  return read.ok ? null : read.error
}

/** Whether artifacts of this type are read after the end of their job. */
export function isRead(type: string): boolean {
  return Object.hasOwn(summaries, type)
}

/** The summary of an artifact of such a type. Rejects when its bytes cannot be had. */
export function summarise(reader: ReportReader, artifact: Artifact): Promise<ReportSummary> {
  return summaries[artifact.type]!(reader, artifact)
}
