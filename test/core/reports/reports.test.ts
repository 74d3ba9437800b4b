import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { readCodeQuality } from '../../../src/core/reports/code-quality.js'
import { readCobertura, readJacoco } from '../../../src/core/reports/coverage-report.js'
import { readJUnit } from '../../../src/core/reports/junit.js'
import { countTests } from '../../../src/core/reports/tests.js'

/** The bytes in pieces of a size, so that names, entities and letters are cut. */
async function* inPieces(bytes: string | Uint8Array, size = 7): AsyncGenerator<Uint8Array> {
  const all = Buffer.from(bytes)
  for (let at = 0; at < all.length; at += size) yield all.subarray(at, at + size)
}

const report = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="all">
  <properties><property name="a" value="b"/></properties>
  <testsuite name="outer" file="outer_spec.rb">
    <testcase classname="Sum" name="adds" time="1.5" file="sum_spec.rb"/>
    <testsuite name="inner">
      <testcase classname="Sum" name="fails &lt;grün&gt;" time="0.25">
        <failure message="expected 1" type="Wrong"><![CDATA[expected 1 & got 2]]>
at line 3</failure>
        <failure>a second one</failure>
        <system-out>ignored</system-out>
      </testcase>
    </testsuite>
    <testcase classname="Sum" name="breaks" time="1,000.5"><error message="no text"/></testcase>
    <testcase classname="Sum" name="waits"><skipped/></testcase>
    <testcase name="odd" time="soon"/>
  </testsuite>
</testsuites>
`

describe('JUnit', () => {
  it('gives each case with its end, and counts', async () => {
    const cases = await readJUnit(inPieces(report))
    const one = { classname: 'Sum', output: null, time: 0 }
    expect(cases).toEqual([
      { ...one, status: 'success', name: 'adds', file: 'sum_spec.rb', time: 1.5 },
      {
        ...one,
        status: 'failed',
        name: 'fails <grün>',
        file: null,
        time: 0.25,
        output: 'expected 1 & got 2\nat line 3',
      },
      { ...one, status: 'error', name: 'breaks', file: 'outer_spec.rb', time: 1000.5, output: 'no text' },
      { ...one, status: 'skipped', name: 'waits', file: 'outer_spec.rb' },
      { ...one, status: 'success', classname: '', name: 'odd', file: 'outer_spec.rb' },
    ])
    expect(countTests(cases)).toEqual({ time: 1002.25, count: 5, success: 2, failed: 1, error: 1, skipped: 1 })
  })

  it('reads several documents one after the other, as a runner sends several files', async () => {
    const suite = (name: string) => `<testsuite><testcase name="${name}"/></testsuite>`
    const sent = Buffer.concat([
      gzipSync(report),
      gzipSync(`\uFEFF<?xml version="1.0"?>${suite('b')}\n\n`),
      gzipSync(`${suite('c')}${suite('d')}<testsuites/>`),
    ])
    for (const size of [1, 3, 100_000]) {
      const names = (await readJUnit(inPieces(gunzipSync(sent), size))).map(({ name }) => name)
      expect(names.slice(5)).toEqual(['b', 'c', 'd'])
    }
  })

  it('counts the same case once', async () => {
    const cases = await readJUnit(
      inPieces(`<testsuite><testcase name="a" time="1"/><testcase name="a" time="2"/>
        <testcase name="a"><failure>x</failure></testcase></testsuite>`),
    )
    expect(cases.map(({ status, time }) => [status, time])).toEqual([
      ['success', 2],
      ['failed', 0],
    ])
  })

  it('takes other encodings that the declaration or a mark names', async () => {
    const text = '<testsuite><testcase name="grün"/></testsuite>'
    const latin = Buffer.from(`<?xml version='1.0' encoding='ISO-8859-1'?>${text}`, 'latin1')
    const utf16 = Buffer.from(`\uFEFF${text}`, 'utf16le')
    const unknown = Buffer.from(`<?xml version="1.0" encoding="klingon"?>${text}`)
    for (const bytes of [latin, utf16, unknown]) {
      expect((await readJUnit(inPieces(bytes, 200))).map(({ name }) => name)).toEqual(['grün'])
    }
  })

  const wrong = (body: string) => readJUnit(inPieces(body, 50_000), { cases: 100 })
  it.each([
    ['nothing', '', /no document/],
    ['no XML', 'it works', /first tag/],
    ['a document cut off', report.slice(0, -20), /in the middle/],
    ['a wrong end', '<testsuite>\n</testsuites>', /close tag.* \(line 2\)/],
    ['an unknown entity', '<testsuite>&xxe;</testsuite>', /entity/i],
    ['text after the end', `${report}\nand more`, /first tag/],
    ['deep nesting', '<a>'.repeat(65), /64 deep/],
    ['many attributes', `<a ${Array.from({ length: 300 }, (_, i) => `a${i}="x"`).join(' ')}/>`, /256 attributes/],
    ['a giant attribute', `<a b="${'x'.repeat(600_000)}"/>`, /Max buffer length/],
    ['a giant name', `<${'x'.repeat(600_000)}/>`, /Max buffer length/],
    ['too many cases', `<testsuite>${manyCases(101)}</testsuite>`, /100 test cases/],
  ])('refuses %s', async (_, body, why) => {
    await expect(wrong(body)).rejects.toThrow(why)
  })

  it('defines and fetches no entity, however a report asks', async () => {
    const laughs = Array.from({ length: 10 }, (_, i) => `<!ENTITY l${i + 1} "${`&l${i};`.repeat(10)}">`).join('')
    const bomb = `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">${laughs}]><testsuite>&l10;</testsuite>`
    await expect(wrong(bomb)).rejects.toThrow(/entity/i)
    const file = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><testsuite><testcase name="&f;"/></testsuite>'
    await expect(wrong(file)).rejects.toThrow(/entity/i)
    const parameter = '<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd" [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>'
    expect(await wrong(`${parameter}<testsuite><testcase name="a"/></testsuite>`)).toHaveLength(1)
  })

  it('keeps a bounded part of what cases say', async () => {
    const loud = `<failure>${'x'.repeat(66_000)}</failure>`
    const body = Array.from({ length: 140 }, (_, i) => `<testcase name="${i}">${loud}</testcase>`).join('')
    const cases = await readJUnit(inPieces(`<testsuite>${body}</testsuite>`, 64 * 1024))
    expect(cases).toHaveLength(140)
    expect(cases[0]?.output).toHaveLength(65_536)
    expect(cases.filter(({ output }) => output !== null)).toHaveLength(128)
  })
})

function manyCases(count: number): string {
  return Array.from({ length: count }, (_, i) => `<testcase name="${i}"/>`).join('')
}

/** Bytes in use once all that nobody holds is gone. */
function heapInUse(): number {
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
  return process.memoryUsage().heapUsed
}

describe('a hostile report', () => {
  it('takes no more memory than what is kept of it', async () => {
    const names = Array.from(
      { length: 150 },
      (_, i) => `<testcase name="${i}${'n'.repeat(4000)}" file="${'f'.repeat(4000)}"/>`,
    )
    const before = heapInUse()
    const cases = await readJUnit(inPieces(`<testsuite>${names.join('')}</testsuite>`, 64 * 1024))
    expect(heapInUse() - before).toBeLessThan(12 * 1024 * 1024)
    expect(cases.length).toBe(150)
  })

  it('has ten thousand documents at most', async () => {
    const report = '<testsuite/>'.repeat(10_001)
    await expect(readJUnit(inPieces(report, 64 * 1024))).rejects.toThrow('10000 documents')
  })
})

describe('coverage', () => {
  const lines = '<lines><line number="1" hits="3"/><line number="2" hits="0"/></lines>'
  const cobertura = (root: string) => `<?xml version="1.0"?>
    <!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">
    <coverage ${root}><packages><package><classes><class><methods><method>${lines}</method></methods>${lines}</class>
    </classes></package></packages></coverage>`

  it('comes from the root of a Cobertura report, or from its lines', async () => {
    const said = cobertura('lines-valid="10" lines-covered="7" line-rate="0.7"')
    expect(await readCobertura(inPieces(said))).toEqual({ lines: 10, covered: 7 })
    expect(await readCobertura(inPieces(cobertura('line-rate="0.5"')))).toEqual({ lines: 2, covered: 1 })
    await expect(readCobertura(inPieces('<report/>'))).rejects.toThrow('<coverage>')
  })

  it('comes from the counters of the whole in a JaCoCo report', async () => {
    const counter = (type: string, missed: number) => `<counter type="${type}" missed="${missed}" covered="6"/>`
    const jacoco = `<report name="x"><package>${counter('LINE', 1)}</package>${counter('LINE', 4)}${counter('BRANCH', 9)}</report>`
    expect(await readJacoco(inPieces(jacoco))).toEqual({ lines: 10, covered: 6 })
    await expect(readJacoco(inPieces('<coverage/>'))).rejects.toThrow('<report>')
  })
})

it('counts the findings of a code quality report by severity', async () => {
  const finding = (fingerprint: string, severity?: string) => ({ fingerprint, severity, description: 'x' })
  const body = [finding('a', 'major'), finding('a', 'major'), finding('b', 'minor'), finding('c'), null, 7]
  expect(await readCodeQuality(inPieces(JSON.stringify(body)))).toEqual({
    count: 5,
    blocker: 0,
    critical: 0,
    major: 1,
    minor: 1,
    info: 0,
    unknown: 3,
  })
  await expect(readCodeQuality(inPieces('{}'))).rejects.toThrow('not a list')
  await expect(readCodeQuality(inPieces('['))).rejects.toThrow('not JSON')
})
