/**
 * JUnit reports: test cases and how they ended. There is no standard; what counts is what GitLab reads, in
 * lib/gitlab/ci/parsers/test/junit.rb and https://docs.gitlab.com/ci/testing/unit_test_reports/.
 */
import { ReportError } from './report-error.js'
import type { TestCase, TestStatus } from './tests.js'
import { readXml } from './xml.js'

const limits = { cases: 100_000 }
const longestName = 4096
const longestOutput = 64 * 1024
/** Of all cases of a report together, in UTF-16 units. */
const mostOutput = 8 * 1024 * 1024

const endings: Readonly<Record<string, TestStatus>> = { failure: 'failed', error: 'error', skipped: 'skipped' }

/**
 * The test cases in order. Of several of the same name, class and status the last one counts. Throws `ReportError` for
 * what is no JUnit report or has over 100,000 cases. Past 8 MiB of outputs, those of further cases are left out.
 */
export async function readJUnit(
  source: AsyncIterable<Uint8Array>,
  { cases }: { cases: number } = limits,
): Promise<TestCase[]> {
  const reader = new JUnitReader(cases)
  await readXml(source, reader)
  return [...reader.cases.values()]
}

class JUnitReader {
  readonly cases = new Map<string, TestCase>()
  readonly #suiteFiles: (string | null)[] = []
  #case: TestCase | undefined
  /** The element within the case whose text is its output. */
  #ending: string | undefined
  #text = ''
  #outputs = 0

  constructor(private readonly mostCases: number) {}

  open(name: string, attributes: Readonly<Record<string, string>>): void {
    if (name === 'testsuite') this.#suiteFiles.push(attributes.file ?? attributes.filepath ?? null)
    else if (name === 'testcase' && this.#case === undefined) {
      const { name: title = '', classname = '', file, time = '0' } = attributes
      this.#case = {
        status: 'success',
        name: title.slice(0, longestName),
        classname: classname.slice(0, longestName),
        file: (file ?? this.#suiteFiles.at(-1) ?? null)?.slice(0, longestName) ?? null,
        time: secondsOf(time),
        output: null,
      }
    } else if (this.#case?.status === 'success' && Object.hasOwn(endings, name)) {
      this.#case.status = endings[name]!
      this.#ending = name
      this.#text = ''
      this.#case.output = attributes.message?.slice(0, longestOutput) ?? null
    }
  }

  text(text: string): void {
    if (this.#ending !== undefined && this.#text.length < longestOutput) this.#text += text
  }

  close(name: string): void {
    if (name === 'testsuite') this.#suiteFiles.pop()
    else if (name === this.#ending && this.#case) {
      const said = this.#text.trim().slice(0, longestOutput)
      if (said !== '') this.#case.output = said
      this.#ending = undefined
      this.#text = ''
    } else if (name === 'testcase' && this.#case) {
      this.#keep(this.#case)
      this.#case = undefined
    }
  }

  #keep(one: TestCase): void {
    this.#outputs += one.output?.length ?? 0
    if (this.#outputs > mostOutput) one.output = null
    this.cases.set(`${one.status}\0${one.classname}\0${one.name}`, one)
    if (this.cases.size > this.mostCases) throw new ReportError(`a report may have ${this.mostCases} test cases`)
  }
}

/** Some write thousands with commas. */
function secondsOf(text: string): number {
  const seconds = Number(text.replaceAll(',', ''))
  return Number.isFinite(seconds) && seconds > 0 ? seconds : 0
}
