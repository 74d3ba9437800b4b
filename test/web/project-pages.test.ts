/** The pages of a project beside its pipelines, and that every `web_url` of the API opens the page that it names. */
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Coordinator, git } from '../support/processes.js'
import { expectClean, hasBrowser, startBrowser, type Visit, visit } from './browser.js'

const ci = `build:
  script: [echo built]
release:
  when: manual
  script: [echo released]
  environment: { name: production, url: 'https://shop.example.com' }
`

describe.runIf(hasBrowser)('pages of a project', () => {
  let box: Coordinator
  let browser: Browser
  let tab: Visit
  let page: Page
  const at = '/api/v4/projects/shop%2Fweb'

  beforeAll(async () => {
    box = await Coordinator.start()
    const folder = await box.repository('shop/web', { '.gitlab-ci.yml': ci })
    await git(folder, 'push', '--quiet', 'origin', 'main', 'main:topic')
    await git(folder, 'tag', 'v1')
    await git(folder, 'push', '--quiet', 'origin', 'v1')
    browser = await startBrowser()
    tab = await visit(browser, box.url, box.token)
    page = tab.page
    page.setDefaultTimeout(20_000)
  })
  afterAll(async () => {
    await browser?.close()
    await box?.[Symbol.asyncDispose]()
  })

  it('are what every web_url opens', async () => {
    const api = <T>(path: string) => box.api<T>('GET', `/api/v4${path}`)
    const id = 'projects/shop%2Fweb'
    const request = await box.api<Linked>('POST', `${at}/merge_requests`, {
      ...{ source_branch: 'topic', target_branch: 'main', title: 'A topic' },
    })
    interface Linked {
      web_url: string
    }
    const [pipeline] = await api<(Linked & { id: number })[]>(`/${id}/pipelines`)
    const [commit] = await api<(Linked & { short_id: string; title: string })[]>(`/${id}/repository/commits`)
    const project = await api<Linked & { namespace: Linked }>(`/${id}`)
    const [job] = await api<(Linked & { commit: Linked; pipeline: Linked; user: Linked; name: string })[]>(
      `/${id}/jobs`,
    )
    // What each address shows that nothing else would.
    const wanted: [what: string, url: string, shows: string][] = [
      ['project', project.web_url, 'Run a pipeline'],
      ['namespace', project.namespace.web_url, 'shop'],
      ['group', (await api<Linked>('/groups/shop')).web_url, 'shop/web'],
      ['user', (await api<Linked>('/user')).web_url, 'root'],
      ['pipeline', pipeline!.web_url, `Pipeline #${pipeline!.id}`],
      ['job', job!.web_url, job!.name],
      ['pipeline of a job', job!.pipeline.web_url, 'Pipeline #'],
      ['user of a job', job!.user.web_url, 'root'],
      ['commit of a job', job!.commit.web_url, commit!.title],
      ['commit', commit!.web_url, commit!.short_id],
      ['branch', (await api<Linked>(`/${id}/repository/branches/topic`)).web_url, 'topic'],
      ['tag', (await api<{ commit: Linked }>(`/${id}/repository/tags/v1`)).commit.web_url, commit!.short_id],
      ['merge request', request.web_url, 'A topic'],
      ['comparison', (await api<Linked>(`/${id}/repository/compare?from=main&to=topic`)).web_url, ' → '],
    ]
    for (const [what, url, shows] of wanted) {
      await page.goto(url)
      const main = page.locator('main')
      await main.getByText(shows).first().waitFor()
      expect([what, await main.getByText('There is nothing at this address').count()]).toEqual([what, 0])
    }
    await page.goto(`${box.url}/shop/web/-/merge_requests/99`)
    await page.getByText('It is not there, or not for you to see.').waitFor()
    await page.goto(`${box.url}/shop/web/-/nonsense/1`)
    await page.getByText('There is nothing at this address').waitFor()
  })

  it('show and change what is set for it', async () => {
    const panel = page.locator('form.panel')
    const open = async (part: string, button: string) => {
      await page.goto(`${box.url}/shop/web/-/${part}`)
      await page.getByRole('button', { name: button }).click()
    }
    const list = <T>(path: string) => box.api<T[]>('GET', `${at}/${path}`)

    await open('settings/variables', 'Add a variable')
    await page.getByLabel('Name', { exact: true }).fill('wrong name')
    await page.getByLabel('Value').fill('secret <b>value</b>')
    await panel.getByRole('button', { name: 'Add a variable' }).click()
    await panel.getByRole('alert').waitFor()
    await page.getByLabel('Name', { exact: true }).fill('TOKEN')
    await page.getByLabel('Only for protected').check()
    await panel.getByRole('button', { name: 'Add a variable' }).click()
    await page.getByRole('cell', { name: 'TOKEN', exact: true }).waitFor()
    expect(await list('variables')).toMatchObject([{ key: 'TOKEN', value: 'secret <b>value</b>', protected: true }])
    expect(await page.getByText('secret <b>value</b>').isVisible()).toBe(false)
    await page.getByText('Show', { exact: true }).click()
    await page.getByText('secret <b>value</b>').waitFor()
    await expectClean(page)
    await page.getByRole('button', { name: 'Edit TOKEN' }).click()
    await page.getByLabel('Value').fill('another')
    await page.getByRole('button', { name: 'Save TOKEN' }).click()
    await expect.poll(async () => await list('variables')).toMatchObject([{ value: 'another', protected: true }])
    await page.getByRole('button', { name: 'Delete TOKEN' }).click()
    await page.getByRole('button', { name: 'Really: Delete TOKEN' }).click()
    await page.getByRole('heading', { name: 'No variables' }).waitFor()

    await box.api('POST', '/api/v4/users', {
      username: 'ada',
      name: 'Ada',
      email: 'ada@example.com',
      reset_password: true,
    })
    await open('settings/members', 'Add a member')
    await page.getByLabel('User name').fill('ada')
    await page.getByLabel('Role').selectOption('Reporter')
    await panel.getByRole('button', { name: 'Add a member' }).click()
    await page.getByRole('cell', { name: 'Reporter', exact: true }).waitFor()

    await open('settings/protection', 'Protect a branch')
    await page.getByLabel('Branch', { exact: true }).fill('release/*')
    await panel.getByRole('button', { name: 'Protect a branch' }).click()
    await page.getByRole('cell', { name: 'release/*', exact: true }).waitFor()
    await expectClean(page)

    await open('settings/tokens', 'Make a token')
    await page.getByLabel('Name', { exact: true }).fill('script')
    await panel.getByRole('button', { name: 'Make a token' }).click()
    const token = (await page.locator('pre', { hasText: 'glpat-' }).textContent())!
    expect((await fetch(`${box.url}${at}`, { headers: { 'PRIVATE-TOKEN': token } })).status).toBe(200)

    await open('settings/triggers', 'Make a trigger')
    await page.getByLabel('What it is for').fill('nightly')
    await panel.getByRole('button', { name: 'Make a trigger' }).click()
    await page.locator('pre', { hasText: 'curl -X POST' }).waitFor()
    await expectClean(page)

    await open('settings/hooks', 'Add a webhook')
    await page.getByLabel('Address').fill('https://hooks.example.com/one')
    await panel.getByRole('button', { name: 'Add a webhook' }).click()
    await page.getByRole('cell', { name: 'https://hooks.example.com/one', exact: true }).waitFor()

    await open('pipeline_schedules', 'Add a schedule')
    await page.getByLabel('What it is for').fill('each night')
    await panel.getByRole('button', { name: 'Add a schedule' }).click()
    await page.getByRole('cell', { name: 'each night', exact: true }).waitFor()
    await expectClean(page)
    await page.goto(`${box.url}/shop/web/-/environments`)
    await page.getByRole('cell', { name: 'production', exact: true }).first().waitFor()
    await expectClean(page)

    await page.goto(`${box.url}/shop/web/-/settings`)
    await page.getByLabel('Description').fill('Sells things')
    await page.getByLabel('Timeout of jobs').fill('7200')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('✓ Saved').waitFor()
    expect(await box.api('GET', at)).toMatchObject({
      description: 'Sells things',
      build_timeout: 7200,
      shared_runners_enabled: true,
    })
    await expectClean(page)
  })

  it('tell at which line a configuration is wrong', async () => {
    await page.goto(`${box.url}/shop/web/-/ci/editor`)
    await page.getByText('✓ It is right, and a push to main makes 2 jobs').waitFor()
    const text = page.getByLabel('Configuration')
    await text.fill('build:\n  script: [echo built]\nbroken:\n  scirpt: [echo]\n')
    await page.getByText(/✕ \d to mend/).waitFor()
    await page.locator('.numbers .wrong').first().waitFor()
    const line = Number(await page.locator('.numbers .wrong').first().textContent())
    expect([3, 4]).toContain(line)
    await page
      .getByRole('button', { name: new RegExp(`line ${line}`) })
      .first()
      .click()
    expect(
      await text.evaluate((area: { value: string; selectionStart: number; selectionEnd: number }) =>
        area.value.slice(area.selectionStart, area.selectionEnd),
      ),
    ).toBe(['broken:', '  scirpt: [echo]'][line - 3])
    await expectClean(page)
    expect(tab.complaints).toEqual([])
  })
})
