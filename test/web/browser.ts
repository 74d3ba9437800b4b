/** A real browser for the page: Debian's Chromium, driven by playwright-core, where there is one. */
import { existsSync } from 'node:fs'
import axe from 'axe-core'
import type { Browser, Page } from 'playwright-core'
import { expect } from 'vitest'

/** Where Debian and others put it. */
const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((file) =>
  existsSync(file),
)

/** Whether there is a browser here; without one the suites of the page count as skipped. */
export const hasBrowser = executablePath !== undefined
if (!hasBrowser) console.log('no Chromium here: the tests of the page in a browser count as skipped')

/** Starts the browser. */
export async function startBrowser(): Promise<Browser> {
  const { chromium } = await import('playwright-core')
  return chromium.launch({
    executablePath: executablePath!,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  })
}

export interface Visit {
  page: Page
  /** What the page has complained of: faults, and what its policy did not let it do. */
  complaints: string[]
}

/** A tab of its own, in which somebody has signed in by a token; empty: nobody has. */
export async function visit(browser: Browser, url: string, token: string): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce' })
  context.setDefaultTimeout(60_000)
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    // Refusals and a server that is away are told to the person, and by the browser here as well.
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) complaints.push(message.text())
  })
  if (token) await page.addInitScript(`sessionStorage.setItem('signalbox-token', ${JSON.stringify(token)})`)
  await page.goto(url)
  return { page, complaints }
}

/** Nothing that axe finds wrong on what is shown now. https://github.com/dequelabs/axe-core */
export async function expectClean(page: Page): Promise<void> {
  // In a world of its own, since the page's policy lets no other script in.
  const session = await page.context().newCDPSession(page)
  const { frameTree } = await session.send('Page.getFrameTree')
  const world = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id })
  const run = `${axe.source}; axe.run(document, { resultTypes: ['violations'] })
    .then(({ violations }) => violations.map(({ id, nodes }) => id + ' ' + nodes.map((one) => one.target + ' ' + one.failureSummary).join(', ')))`
  const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
    expression: run,
    contextId: world.executionContextId,
    awaitPromise: true,
    returnByValue: true,
  })
  await session.detach()
  expect(exceptionDetails).toBeUndefined()
  expect(result.value).toEqual([])
}
