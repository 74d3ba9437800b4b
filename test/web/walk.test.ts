/**
 * The walk of somebody who has never seen the page: a pipeline seen live, the failing job's log read at its first error, why
 * another job waits, a runner added by the shown command, the job retried. On a real server, with real runners, in a real
 * browser.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import path from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Coordinator, git, program } from '../support/processes.js'
import { expectClean, hasBrowser, startBrowser, type Visit, visit } from './browser.js'

const ci = `stages: [build, test, deploy]
compile:
  stage: build
  script: [echo compiling]
check:
  stage: test
  script:
    - for i in $(seq 1 3000); do echo "step $i of the check"; done
    - 'echo "error: the <b>widget</b> is missing"'
    - if [ -e "$HOME/never" ]; then true; else exit 3; fi
paint:
  stage: test
  tags: [brush]
  script: [echo painted]
ship:
  stage: deploy
  script: [echo shipped]
`

describe.runIf(hasBrowser)('the page', () => {
  let box: Coordinator
  let browser: Browser
  let tab: Visit
  let page: Page
  const started: ChildProcess[] = []

  beforeAll(async () => {
    box = await Coordinator.start()
    browser = await startBrowser()
    tab = await visit(browser, box.url, '')
    page = tab.page
  })
  afterAll(async () => {
    await browser?.close()
    for (const child of started) child.kill('SIGKILL')
    await box?.[Symbol.asyncDispose]()
  })

  it('is walked through by somebody who has read nothing', async () => {
    // Who has not signed in is asked to, at every address.
    await page.goto(`${box.url}/works/app/-/pipelines/1`)
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    expect(await page.getByText('reconnecting').count()).toBe(0)
    await page.goto(box.url)
    await page.getByRole('button', { name: 'With an access token instead' }).click()
    await expectClean(page)
    await page.getByLabel('Access token').fill('wrong')
    await page.getByRole('button', { name: 'Sign in', exact: true }).last().click()
    await page.getByText('That is not right').waitFor()
    await page.getByLabel('Access token').fill(box.token)
    await page.getByRole('button', { name: 'Sign in', exact: true }).last().click()
    // An empty place says what to do, with this server's address.
    await page.getByText(`git push ${box.url}/GROUP/NAME.git HEAD:main`).waitFor()
    await expectClean(page)

    await box.runner('websocket')
    const folder = await box.repository('works/app', { '.gitlab-ci.yml': ci })
    await git(folder, 'push', '--quiet', 'origin', 'main')
    // The project comes by itself, and its pipeline is followed without a reload.
    await page.getByRole('link', { name: 'works/app' }).click()
    await page.getByRole('link', { name: '#1', exact: true }).click()
    const graph = page.getByRole('region', { name: 'Jobs by stage' })
    await graph.getByText('ship').waitFor()
    await graph.getByRole('link', { name: /failed check/ }).waitFor()
    await expectClean(page)
    for (const view of ['table', 'waterfall']) {
      await page.getByRole('button', { name: view }).click()
      await expectClean(page)
    }
    await page.getByRole('button', { name: 'graph' }).click()

    // The log opens where it failed, though three thousand lines come before; what it says is text.
    await graph.getByRole('link', { name: /failed check/ }).click()
    await page.getByRole('heading', { name: 'Why it failed' }).waitFor()
    const error = page
      .getByRole('region', { name: 'Lines of the log' })
      .getByText('error: the <b>widget</b> is missing', { exact: true })
    await error.waitFor()
    expect(await error.isVisible()).toBe(true)
    expect(await page.locator('.line').count()).toBeLessThan(100)
    await expectClean(page)
    // Found on the server, wherever it stands.
    await page.getByLabel('Search the whole log').fill('step 1234 of')
    await page.getByText('1 of 1').waitFor()
    await page.locator('.line mark', { hasText: 'step 1234 of' }).waitFor()
    await page.getByRole('button', { name: 'history' }).click()
    await page.getByRole('cell', { name: 'job.finished', exact: true }).waitFor()
    await expectClean(page)

    // Why the other one waits, as a state of its own; from there to a runner that can take it.
    await page.getByRole('link', { name: 'Pipeline #1' }).click()
    await graph.getByRole('link', { name: /pending paint/ }).click()
    await page.getByRole('heading', { name: 'No runner can take it' }).waitFor()
    await expectClean(page)
    const waiting = page.url()
    await page.goto(`${box.url}/-/queue`)
    await page.getByText('never, as things are').waitFor()
    await expectClean(page)
    await page.goto(waiting)
    await page.getByRole('link', { name: 'the fleet' }).click()
    await page.getByRole('button', { name: 'Make it' }).click()
    const command = (await page.locator('pre', { hasText: 'runner start' }).textContent())!
    await expectClean(page)
    await paste(command)
    await page.getByText('It is here, and takes jobs.').waitFor()
    await expectClean(page)
    await page.goto(waiting)
    await page.getByRole('region', { name: 'Lines of the log' }).getByText('painted', { exact: true }).first().waitFor()

    // The job is retried: the new attempt is shown, and the old one stays.
    await page.goto(`${box.url}/works/app/-/pipelines/1`)
    await graph.getByRole('button', { name: 'Retry check' }).click()
    await expect
      .poll(
        async () =>
          (await box.api<{ name: string }[]>('GET', '/api/v4/projects/1/jobs')).filter((one) => one.name === 'check')
            .length,
      )
      .toBe(2)
    await graph.getByRole('link', { name: /check/ }).click()
    await page.getByRole('link', { name: /Attempt 2/ }).waitFor()
    await page.goto(`${box.url}/-/system`)
    await page
      .getByRole('cell', { name: /expire_leases|delete_old_events/ })
      .first()
      .waitFor()
    await expectClean(page)
    expect(tab.complaints).toEqual([])
  })

  /** Runs a command as it was shown, with this build in place of the package. */
  async function paste(command: string): Promise<void> {
    const [, token, rest] = /^SIGNALBOX_RUNNER_TOKEN=(\S+) npx signalbox (.+)$/.exec(command.trim())!
    const args = rest!.split(' ')
    const child = spawn(process.execPath, [program, ...args, '--work-dir', path.join(box.folder, 'pasted')], {
      stdio: 'ignore',
      env: { ...process.env, SIGNALBOX_RUNNER_TOKEN: token! },
    })
    started.push(child)
  }
})
