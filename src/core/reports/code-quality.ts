/** Code quality reports, of which the findings are counted: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format */
import { buffer } from 'node:stream/consumers'
import { ReportError } from './report-error.js'

const severities = ['blocker', 'critical', 'major', 'minor', 'info', 'unknown'] as const

/** Findings by severity, and of all. */
export type QualityCounts = Record<(typeof severities)[number], number> & { count: number }

/** Findings by severity; each fingerprint counts once. Throws `ReportError` for what is no list of findings. */
export async function readCodeQuality(source: AsyncIterable<Uint8Array>): Promise<QualityCounts> {
  let findings: unknown
  try {
    findings = JSON.parse((await buffer(source)).toString('utf8'))
  } catch (error) {
    if (error instanceof SyntaxError) throw new ReportError('the report is not JSON')
    throw error
  }
  if (!Array.isArray(findings)) throw new ReportError('the report is not a list')
  const counts = { count: 0, ...Object.fromEntries(severities.map((one) => [one, 0])) } as QualityCounts
  const seen = new Set<unknown>()
  for (const finding of findings as { severity?: unknown; fingerprint?: unknown }[]) {
    const { severity, fingerprint } = finding ?? {}
    if (fingerprint !== undefined && seen.has(fingerprint)) continue
    seen.add(fingerprint)
    counts.count++
    counts[severities.find((one) => one === severity) ?? 'unknown']++
  }
  return counts
}
