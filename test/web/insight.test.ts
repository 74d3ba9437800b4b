/** What a pipeline's page tells beside its jobs: artifacts, tests and their past, jobs left out, forms to run and play with. */
import { existsSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Coordinator, git } from '../support/processes.js'
import { expectClean, hasBrowser, startBrowser, type Visit, visit } from './browser.js'

/** One dot. */
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=='
const attack = '<script>document.title = "run"</script><img src=x onerror="document.title = 1">'

const ci = (marker: string) => `spec:
  inputs:
    target: { options: [staging, production], default: staging, description: Where it goes }
    count: { type: number }
---
variables:
  NOTE: { value: none, description: What to write below it }
files:
  script:
    - mkdir -p 'out/<b>'
    - echo '${attack}' > out/page.html
    - cp out/page.html out/picture.svg
    - cp out/page.html 'out/<b>/x.txt'
    - echo ${png} | base64 -d > out/page.png
    - head -c 100 /dev/zero > out/zero.bin
  artifacts: { paths: [out] }
unit:
  script:
    - if [ -e '${marker}' ]; then outcome=''; else outcome='<failure>AssertionError at &lt;b&gt;cart&lt;/b&gt;</failure>'; fi
    - echo "<testsuite><testcase classname='Cart' name='takes a coupon' time='0.5'>$outcome</testcase><testcase classname='Cart' name='keeps'/></testsuite>" > r.xml
    - test -e '${marker}'
  artifacts: { when: always, reports: { junit: r.xml } }
below: { trigger: { include: [{ local: child.yml }] } }
ship:
  when: manual
  script: ['echo "$[[ inputs.target ]] $[[ inputs.count ]] $NOTE $EXTRA"']
nightly:
  rules: [{ if: '$CI_PIPELINE_SOURCE == "schedule"' }]
  script: [echo night]
`

describe.runIf(hasBrowser)('a pipeline', () => {
  let box: Coordinator
  let browser: Browser
  let tab: Visit
  let page: Page
  let marker: string
  const api = <T>(of: string) => box.api<T>('GET', `/api/v4/projects/shop%2Fweb/${of}`)

  beforeAll(async () => {
    box = await Coordinator.start()
    marker = path.join(box.folder, 'mended')
    await box.runner('websocket')
    const folder = await box.repository('shop/web', {
      '.gitlab-ci.yml': ci(marker),
      'child.yml': 'inner: { script: [echo inner] }\n',
    })
    await git(folder, 'push', '--quiet', '-o', 'ci.skip', 'origin', 'main')
    browser = await startBrowser()
    tab = await visit(browser, box.url, box.token)
    page = tab.page
    page.setDefaultTimeout(30_000)
  })
  afterAll(async () => {
    await browser?.close()
    await box?.[Symbol.asyncDispose]()
  })

  it('is run with the inputs and variables that its file asks for, and tells why a job is not in it', async () => {
    await page.goto(`${box.url}/shop/web`)
    await page.getByRole('button', { name: 'Run a pipeline' }).click()
    await page.getByText('Where it goes').waitFor()
    await expectClean(page)
    await page.getByLabel('target').selectOption('production')
    await page.getByLabel('count (must be given)').fill('7')
    await page.getByLabel('NOTE').fill('a note')
    await page.getByLabel('Other variables').fill('not a variable')
    await page.getByRole('button', { name: 'Run', exact: true }).click()
    await page.getByText('is not NAME=value').waitFor()
    await page.getByLabel('Other variables').fill('')
    await page.getByRole('button', { name: 'Run', exact: true }).click()
    await page.getByRole('heading', { name: /Pipeline #/ }).waitFor()
    const graph = page.getByRole('region', { name: 'Jobs by stage' })
    await graph.getByRole('link', { name: /failed unit/ }).waitFor()
    // A child pipeline, and the way back.
    await graph.getByRole('link', { name: /Pipeline #3/ }).click()
    await page.getByRole('heading', { name: 'Pipeline #3' }).waitFor()
    await page.getByRole('navigation', { name: 'Main' }).waitFor()
    await page.locator('.crumbs').getByRole('link', { name: 'Pipeline #2' }).click()
    await page.getByRole('button', { name: 'Left out' }).click()
    await page.getByRole('row', { name: /nightly .*CI_PIPELINE_SOURCE == "schedule"/ }).waitFor()
    await expectClean(page)
    // A manual job, with one more variable.
    await page.getByRole('button', { name: 'Graph' }).click()
    await graph.getByRole('link', { name: /manual ship/ }).click()
    await page.getByRole('button', { name: 'Play ship with variables' }).click()
    await page.getByLabel('Variables, one a line').fill('EXTRA=more')
    await page.getByRole('button', { name: 'Play', exact: true }).click()
    await page.getByText('production 7 a note more', { exact: true }).first().waitFor()
  })

  it('refuses what is not there with the right status', async () => {
    const own = `${box.url}/api/signalbox/v1`
    const table: [path: string, status: number][] = [
      ['pipelines/2/tests', 200],
      ['pipelines/2/rules', 200],
      ['projects/shop%2Fweb/run-form?ref=main', 200],
      ['pipelines/999/tests', 404],
      ['pipelines/x/rules', 404],
      ['projects/shop%2Fnone/run-form', 404],
      ['projects/shop%2Fweb/run-form?ref=a ref that is not there', 404],
      ['projects/shop%2Fweb/run-form?ref=--upload-pack=x', 404],
      [`projects/shop%2Fweb/run-form?ref=${'r'.repeat(2000)}`, 400],
    ]
    for (const [of, status] of table) {
      const answer = await fetch(`${own}/${of}`, { headers: { 'PRIVATE-TOKEN': box.token } })
      expect([of, answer.status]).toEqual([of, status])
    }
  })

  it('shows what its jobs have left, and runs none of it', async () => {
    const [job] = (await api<{ id: number; name: string }[]>('jobs')).filter((one) => one.name === 'files')
    await page.goto(`${box.url}/shop/web/-/jobs/${job!.id}?tab=artifacts`)
    const files = page.getByRole('table', { name: 'Files' })
    await files.getByRole('link', { name: 'out/' }).click()
    const preview = (name: string) => page.getByRole('region', { name: `Preview of ${name}` })
    for (const name of ['page.html', 'picture.svg']) {
      await files.getByRole('link', { name, exact: true }).click()
      await preview(name).getByText(attack, { exact: true }).waitFor()
    }
    await files.getByRole('link', { name: 'page.png' }).click()
    const picture = preview('page.png').getByRole('img')
    await picture.waitFor()
    expect(await picture.evaluate((image: { naturalWidth: number }) => image.naturalWidth)).toBe(1)
    await expectClean(page)
    await files.getByRole('link', { name: 'zero.bin' }).click()
    await preview('zero.bin').getByText('neither a picture nor text').waitFor()
    await files.getByRole('link', { name: '<b>/' }).click()
    await files.getByRole('link', { name: 'x.txt' }).click()
    await preview('x.txt').getByText(attack, { exact: true }).waitFor()
    const [saved] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download x.txt' }).click(),
    ])
    expect(saved.suggestedFilename()).toBe('x.txt')
    expect(await page.title()).toContain('files')
    expect(tab.complaints).toEqual([])
  })

  it('tells which of its tests failed, and whether they are flaky', async () => {
    await page.goto(`${box.url}/shop/web/-/pipelines/2?view=tests`)
    const test = page.getByRole('article', { name: 'takes a coupon' })
    await test.getByText('AssertionError at <b>cart</b>').waitFor()
    await test.getByText('new', { exact: true }).waitFor()
    await expectClean(page)
    expect(existsSync(marker)).toBe(false)
    writeFileSync(marker, '')
    await page.getByRole('button', { name: 'Graph' }).click()
    const graph = page.getByRole('region', { name: 'Jobs by stage' })
    await graph.getByRole('button', { name: 'Retry unit' }).click()
    await graph.getByRole('link', { name: /passed unit/ }).waitFor()
    // Both attempts, one beside the other.
    await graph.getByRole('link', { name: /passed unit/ }).click()
    await page.getByRole('link', { name: 'Beside attempt 1' }).click()
    const logs = page.getByRole('region', { name: 'Lines of the log' })
    await expect.poll(() => logs.count()).toBe(2)
    for (const n of [0, 1])
      await logs
        .nth(n)
        .getByText(/\$ test -e/)
        .first()
        .waitFor()
    await logs
      .nth(1)
      .getByText(/exit code 1|ERROR/)
      .first()
      .waitFor()
    await page.goto(`${box.url}/shop/web/-/pipelines/2`)
    await page.getByRole('button', { name: 'Tests' }).click()
    await test.getByText('flaky', { exact: true }).waitFor()
    await test.getByRole('link', { name: /failed in pipeline 2/ }).waitFor()
    await page.locator('summary', { hasText: 'All tests' }).click()
    await page.getByRole('searchbox', { name: 'Find a test' }).fill('keeps')
    await page.getByRole('row', { name: /passed keeps Cart unit/ }).waitFor()
    await expectClean(page)
    expect(tab.complaints).toEqual([])
  })
})
