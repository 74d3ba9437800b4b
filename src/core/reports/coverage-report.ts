/** Coverage reports, of which the totals are kept: how many lines there are and how many of them were run. */
import { ReportError } from './report-error.js'
import { readXml, type XmlHandler } from './xml.js'

/** Lines that could be covered, and those that are. */
export interface LineCoverage {
  lines: number
  covered: number
}

/**
 * Of a Cobertura report: what its root says, or else its lines counted.
 * Format: https://github.com/cobertura/web/blob/master/htdocs/xml/coverage-04.dtd
 */
export async function readCobertura(source: AsyncIterable<Uint8Array>): Promise<LineCoverage> {
  const counted: LineCoverage = { lines: 0, covered: 0 }
  const said: LineCoverage = { lines: 0, covered: 0 }
  const path: string[] = []
  await readXml(source, {
    ...ignoring,
    open(name, attributes) {
      if (path.length === 0) {
        if (name !== 'coverage') throw new ReportError('the root of a Cobertura report is <coverage>')
        said.lines += wholeNumber(attributes['lines-valid'])
        said.covered += wholeNumber(attributes['lines-covered'])
      }
      // Lines of methods are those of their class once more.
      if (name === 'line' && path.at(-1) === 'lines' && path.at(-2) === 'class') {
        counted.lines++
        if (wholeNumber(attributes.hits) > 0) counted.covered++
      }
      path.push(name)
    },
    close: () => path.pop(),
  })
  return said.lines > 0 ? said : counted
}

/** Of a JaCoCo report: the counter of lines of the whole. Format: https://www.jacoco.org/jacoco/trunk/coverage/report.dtd */
export async function readJacoco(source: AsyncIterable<Uint8Array>): Promise<LineCoverage> {
  const found: LineCoverage = { lines: 0, covered: 0 }
  let depth = 0
  await readXml(source, {
    ...ignoring,
    open(name, { type, missed, covered }) {
      if (depth === 0 && name !== 'report') throw new ReportError('the root of a JaCoCo report is <report>')
      if (depth === 1 && name === 'counter' && type === 'LINE') {
        found.covered += wholeNumber(covered)
        found.lines += wholeNumber(covered) + wholeNumber(missed)
      }
      depth++
    },
    close: () => depth--,
  })
  return found
}

const ignoring: XmlHandler = { open: () => undefined, text: () => undefined, close: () => undefined }

function wholeNumber(text: string | undefined): number {
  return text !== undefined && /^\d{1,12}$/.test(text) ? Number(text) : 0
}
