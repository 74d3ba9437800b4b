// The page in a real browser: the first view of a large pipeline, and from the commit of a change until it is on the screen.
import { existsSync } from 'node:fs'
import { child, inFolder, percentile, repeat, runs, scaled, summary } from '../lib.mjs'

const jobs = scaled(500, 50)
const stages = ['build', 'test', 'check', 'pack', 'ship']
const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((file) =>
  existsSync(file),
)

export async function* measure() {
  // Without a browser there is nothing to tell.
  if (!executablePath) return
  const shown = await inFolder(product)
  yield {
    figure: `first view of a pipeline with ${jobs} jobs, from the address until every job is drawn`,
    unit: 'ms',
    ours: shown.first,
    bar: 300,
    stretch: 200,
  }
  yield {
    figure: `status change of one of ${jobs} jobs on the screen, after its commit, p50`,
    unit: 'ms',
    ours: shown.change,
    bar: 200,
    stretch: 100,
  }
}

async function product(dir) {
  const { chromium } = await import('playwright-core')
  const server = child('product/server.mjs')
  const { http, token } = await server.ask('start', { dir })
  const config = Object.fromEntries(
    Array.from({ length: jobs }, (_, i) => [`job-${i}`, { stage: stages[i % stages.length], script: ['true'] }]),
  )
  const project = await server.ask('project', { name: 'page', config: JSON.stringify({ stages, ...config }) })
  const call = async (method, where) =>
    (await fetch(`${http}/api/v4/projects/${project}${where}`, { method, headers: { 'PRIVATE-TOKEN': token } })).json()
  const { id, web_url: address } = await call('POST', '/pipeline?ref=main')
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  })
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
  await context.addInitScript(`sessionStorage.setItem('signalbox-token', ${JSON.stringify(token)})`)
  const page = await context.newPage()
  const look = async () => {
    await page.goto('about:blank')
    const began = Date.now()
    await page.goto(address, { waitUntil: 'commit' })
    const drawn = await page.evaluate(`new Promise((done) => {
      const look = () => document.querySelectorAll('.graph .box').length >= ${jobs} ? done(Date.now()) : requestAnimationFrame(look)
      look()
    })`)
    return drawn - began
  }
  await look()
  const first = await repeat(look)
  const waiting = await call('GET', `/pipelines/${id}/jobs?scope=pending&per_page=100`)
  const medians = []
  for (let run = 0; run < runs; run++) {
    const samples = []
    for (const job of waiting.splice(0, scaled(10, 2))) {
      const seen = page.evaluate(`new Promise((done) => {
        const box = document.querySelector('[data-jobs="${job.id}"]')
        new MutationObserver((_, watcher) => {
          if (!/canceled/.test(box.textContent)) return
          watcher.disconnect()
          requestAnimationFrame(() => done(Date.now()))
        }).observe(box, { childList: true, subtree: true, characterData: true, attributes: true })
      })`)
      await call('POST', `/jobs/${job.id}/cancel`)
      const committed = Date.now()
      samples.push(Math.max(0, (await seen) - committed))
    }
    medians.push(percentile(samples, 0.5))
  }
  await browser.close()
  await server.ask('stop')
  await server.stop()
  return { first, change: summary(medians) }
}
