/** The page against names and logs that want to be more than text, long logs, and a server that goes away. */
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Coordinator, git } from '../support/processes.js'
import { hasBrowser, startBrowser, visit } from './browser.js'

const name = '<img src=x onerror=alert(1)> javascript:alert(1)'
const ci = `"${name}":
  script:
    - printf '<script>alert(1)</script>\\n\\033]8;;javascript:alert(1)\\007click\\033]8;;\\007\\n\\033[31mred\\033[0m \\342\\200\\256txet\\n'
    - seq 1 60000
waiting:
  tags: ['<b>tag</b>']
  script: ['true']
`

describe.runIf(hasBrowser)('the page', () => {
  let box: Coordinator
  let browser: Browser
  beforeAll(async () => {
    box = await Coordinator.start()
    browser = await startBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    await box?.[Symbol.asyncDispose]()
  })

  it('shows what is hostile as text, of a long log a part, and says when the server is away', async () => {
    await box.runner('websocket')
    const folder = await box.repository('works/app', { '.gitlab-ci.yml': ci })
    await git(folder, 'push', '--quiet', 'origin', 'main')
    const { page, complaints } = await visit(browser, `${box.url}/works/app/-/pipelines/1`, box.token)
    const dialogs: string[] = []
    page.on('dialog', (dialog) => {
      dialogs.push(dialog.message())
      dialog.dismiss().catch(() => undefined)
    })
    await page.getByRole('link', { name: `passed ${name}` }).click()
    const lines = page.getByRole('region', { name: 'Lines of the log' })
    await page.getByText(/60,0\d\d lines/).waitFor()
    // The end first, then what is searched for near the beginning.
    await lines.locator('.text', { hasText: /^60000$/ }).waitFor()
    await page.getByLabel('Search the whole log').fill('<script>alert(1)</script>')
    await lines.locator('.line.current').waitFor()
    await lines.getByText('click', { exact: true }).waitFor()
    await lines.getByText('<U+202E>txet').waitFor()
    expect(await lines.getByRole('link', { name: 'click' }).count()).toBe(0)
    expect(await lines.locator('img, script').count()).toBe(0)
    for (const line of [100, 30_000, 59_999]) {
      await page.goto(`${page.url().split('#')[0]}#L${line}`)
      await page.reload()
      await lines.locator('.line.picked').waitFor()
      expect(await page.locator('*').count()).toBeLessThan(2000)
    }

    await page.goto(`${box.url}/works/app/-/pipelines/1`)
    await page.getByText('live', { exact: true }).waitFor()
    await box.kill()
    await page.getByText(/reconnecting, last update .* ago/).waitFor()
    await box.up()
    await page.getByText('live', { exact: true }).waitFor()
    // What happens from now on is seen as before.
    await page.getByRole('button', { name: 'Cancel the pipeline' }).click()
    await page.getByRole('link', { name: 'canceled waiting' }).waitFor()
    expect(await page.title()).toMatch(/^canceled · #1 works\/app/)
    expect(dialogs).toEqual([])
    expect(complaints).toEqual([])
  })
})
