/** The page when things go wrong around it, by the keyboard alone, and for `signalbox run --ui`; and the pages of administrators. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Coordinator, git, program } from '../support/processes.js'
import { expectClean, hasBrowser, startBrowser, visit } from './browser.js'

const ci = `broken:
  script:
    - for i in $(seq 1 200); do echo "line $i"; done
    - 'echo "error: first"'
    - exit 1
fine: { script: [echo fine] }
`

describe.runIf(hasBrowser)('the page', () => {
  let box: Coordinator
  let browser: Browser
  const at = '/api/v4/projects/shop%2Fweb'

  beforeAll(async () => {
    box = await Coordinator.start()
    await box.runner('websocket')
    const folder = await box.repository('shop/web', { '.gitlab-ci.yml': ci })
    await git(folder, 'push', '--quiet', 'origin', 'main')
    browser = await startBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    await box?.[Symbol.asyncDispose]()
  })

  async function open(where: string, token = box.token): Promise<Page> {
    const { page } = await visit(browser, `${box.url}${where}`, token)
    page.setDefaultTimeout(30_000)
    return page
  }

  it('says that the server does not answer at the first look, and goes on when it does', async () => {
    const page = await open('/', '')
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await page.route('**/api/**', (route) => route.abort())
    await page.reload()
    await page.getByRole('heading', { name: 'The server does not answer' }).waitFor()
    await expectClean(page)
    await page.unroute('**/api/**')
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await page.context().close()
  })

  it('asks to sign in again where a session has ended, and stays where it is', async () => {
    const user = await box.api<{ id: number }>('POST', '/api/v4/users', {
      ...{ username: 'ada', name: 'Ada', email: 'ada@example.com', password: 'correct horse battery' },
      ...{ skip_confirmation: true },
    })
    await box.api('POST', `${at}/members`, { user_id: user.id, access_level: 30 })
    const page = await open('/shop/web/-/pipelines/1', '')
    const signIn = async () => {
      await page.getByLabel('User name').fill('ada')
      await page.getByLabel('Password').fill('correct horse battery')
      await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    }
    await signIn()
    const retry = page.getByRole('button', { name: 'Retry broken' })
    await retry.waitFor()
    await page.getByRole('link', { name: /passed fine/ }).waitFor()
    await page.context().clearCookies()
    // The deed finds it out, or what the page itself asks just then: then the button has gone.
    const asked = page.getByRole('heading', { name: 'Sign in' })
    await Promise.race([retry.click().catch(() => undefined), asked.waitFor()])
    await asked.waitFor()
    expect(new URL(page.url()).pathname).toBe('/shop/web/-/pipelines/1')
    await signIn()
    await retry.waitFor()
    // A role that is taken away while the page is open: what it showed is gone at the next deed, if not before.
    const headers = { 'PRIVATE-TOKEN': box.token }
    expect((await fetch(`${box.url}${at}/members/${user.id}`, { method: 'DELETE', headers })).status).toBe(204)
    const gone = page.getByText('It is not there, or not for you to see.')
    await Promise.race([retry.click().catch(() => undefined), gone.waitFor()])
    await page.getByRole('alert').first().waitFor()
    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Projects' }).click()
    await page.getByRole('heading', { name: 'There are no projects yet' }).waitFor()
    expect(await page.getByText('shop/web').count()).toBe(0)
    await page.goBack()
    await page.getByText('It is not there, or not for you to see.').waitFor()
    await page.context().close()
  })

  it('is walked through by the keyboard alone', async () => {
    const page = await open('/')
    const press = async (...keys: string[]) => {
      for (const key of keys) await page.keyboard.press(key)
    }
    const focused = () =>
      page.evaluate<string>("document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent")
    await page.getByRole('link', { name: 'shop/web' }).waitFor()
    await press('Tab')
    expect(await focused()).toBe('Skip to the content')
    await press('?')
    await page.getByRole('dialog', { name: 'Keys' }).waitFor()
    await expectClean(page)
    await press('Escape')
    await press('/')
    expect(await focused()).toBe('Find a project')
    await page.keyboard.type('web')
    await page.waitForURL('**/?q=web')
    await press('Control+k')
    await page.keyboard.type('shop')
    await page.getByRole('dialog', { name: 'Go to' }).getByText('shop/web').waitFor()
    await expectClean(page)
    await press('Enter')
    await page.waitForURL('**/shop/web')
    const link = page.getByRole('link', { name: '#1', exact: true })
    await link.waitFor()
    // By Tab until the pipeline has the focus, and then in.
    for (let i = 0; i < 40 && (await focused()) !== '#1'; i++) await press('Tab')
    await press('Enter')
    const broken = page.getByRole('region', { name: 'Jobs by stage' }).getByRole('link', { name: /failed broken/ })
    await broken.waitFor()
    const outline = 'getComputedStyle(document.activeElement).outlineStyle'
    const onBroken =
      "document.activeElement.matches('.graph a') && document.activeElement.textContent.includes('broken')"
    for (let i = 0; i < 40 && !(await page.evaluate(onBroken)); i++) await press('Tab')
    expect(await page.evaluate(outline)).toBe('solid')
    await press('Enter')
    const lines = page.getByRole('region', { name: 'Lines of the log' })
    await lines.getByText('error: first', { exact: true }).waitFor()
    await press('/')
    await page.keyboard.type('line 15')
    await press('Enter')
    await page.getByText(/of 11/).waitFor()
    await press('Escape')
    await page.context().close()
  })

  it('has pages for administrators', async () => {
    await box.api('POST', `${at}/access_tokens`, { name: 'one', scopes: ['api'] })
    const page = await open('/-/system?tab=audit')
    const main = page.getByRole('main')
    await main.getByRole('cell', { name: 'group.created' }).first().waitFor()
    await expectClean(page)
    await page.getByRole('button', { name: 'Is it whole?' }).click()
    await main.getByText('"head"').waitFor()
    await page.getByRole('link', { name: 'Usage' }).click()
    await main.getByLabel('Month').waitFor()
    await expectClean(page)
    await page.getByRole('link', { name: 'Settings' }).click()
    await main.getByRole('row', { name: /pipeline_job_limit 2,000/ }).waitFor()
    await expectClean(page)
    await page.context().close()
    // Who is none is told so.
    const { token } = await box.api<{ token: string }>('POST', `${at}/access_tokens`, {
      name: 'two',
      scopes: ['api'],
      access_level: 30,
    })
    const other = await open('/-/system?tab=settings', token)
    await other.getByRole('alert').getByText('administrator').waitFor()
    await other.context().close()
  })

  it('shows a run of this machine until it is interrupted', async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-ui-'))
    try {
      writeFileSync(
        path.join(folder, '.gitlab-ci.yml'),
        'one: { script: [echo from here] }\ntwo: { script: [exit 3] }\n',
      )
      const child = spawn(process.execPath, [program, 'run', '--ui'], { cwd: folder, env: { ...process.env, CI: '1' } })
      let text = ''
      child.stdout.on('data', (chunk) => (text += chunk))
      child.stderr.on('data', (chunk) => (text += chunk))
      const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
      await expect.poll(() => /look at (\S+)/.exec(text)?.[1], { timeout: 20_000 }).toBeDefined()
      const { page, complaints } = await visit(browser, /look at (\S+)/.exec(text)![1]!, '')
      page.setDefaultTimeout(20_000)
      expect(page.url()).not.toContain('token')
      const graph = page.getByRole('region', { name: 'Jobs by stage' })
      await graph.getByRole('link', { name: /failed two/ }).waitFor()
      await graph.getByRole('link', { name: /passed one/ }).click()
      await page.getByText('from here', { exact: true }).first().waitFor()
      await expect.poll(() => text, { timeout: 20_000 }).toContain('until you interrupt')
      expect(complaints).toEqual([])
      child.kill('SIGINT')
      expect(await ended).toBe(1)
      await page.context().close()
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
