// Takes the pictures of the page that the README shows: of the demo, and of a pipeline in which something fails and something waits.
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { chromium } from 'playwright-core'

const ci = `stages: [build, test, deploy]
compile: { stage: build, script: [echo compiling 412 files] }
assets: { stage: build, script: [echo packing] }
unit:
  stage: test
  parallel: 3
  needs: [compile]
  script: [echo "$CI_NODE_INDEX of $CI_NODE_TOTAL"]
checkout:
  stage: test
  needs: [compile, assets]
  script:
    - for i in $(seq 1 400); do printf '\\033[32mok\\033[0m %d cart keeps its items\\n' $i; done
    - printf '\\033[31mnot ok\\033[0m 401 checkout takes a coupon\\n'
    - 'echo "AssertionError: expected total 90, got 100"'
    - exit 1
browser: { stage: test, needs: [assets], tags: [macos], script: [echo opening] }
ship: { stage: deploy, script: [echo shipped] }
`
const place = mkdtempSync(path.join(os.tmpdir(), 'signalbox-pictures-'))
const demo = spawn(process.execPath, ['dist/bundle/main.js', 'demo', '--keep'], { stdio: ['ignore', 'pipe', 'ignore'] })
let browser
try {
  const { url, token } = await addressOf(demo)
  push(url, token)
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  mkdirSync('docs/images', { recursive: true })
  for (const theme of ['light', 'dark']) {
    const page = await browser.newPage({
      viewport: { width: 1180, height: 640 },
      colorScheme: theme,
      reducedMotion: 'reduce',
    })
    await page.addInitScript(`sessionStorage.setItem('signalbox-token', '${token}')`)
    const shoot = (name) => page.screenshot({ path: `docs/images/${name}.png` })
    await page.goto(`${url}/shop/web/-/pipelines/2`)
    await page.getByRole('link', { name: /failed checkout/ }).waitFor({ timeout: 90_000 })
    if (theme === 'light') {
      await page.getByRole('link', { name: /passed compile/ }).waitFor()
      await shoot('pipeline')
      await page.getByRole('link', { name: /pending browser/ }).click()
      await page.getByText('No runner can take it').first().waitFor()
      await shoot('waiting')
      continue
    }
    await page.getByRole('link', { name: /failed checkout/ }).click()
    await page.getByText('AssertionError').last().waitFor()
    await shoot('log')
    await page.goto(`${url}/-/fleet`)
    await page.getByText('willow').waitFor()
    await shoot('fleet')
  }
} finally {
  await browser?.close()
  demo.kill()
  rmSync(place, { recursive: true, force: true })
}

function addressOf(child) {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout.on('data', (chunk) => {
      text += chunk
      const [, url] = /look at (http:\/\/[^/]+)/.exec(text) ?? []
      const [, token] = /access token (\S+)\n/.exec(text) ?? []
      if (url && token) resolve({ url, token })
    })
    child.once('exit', () => reject(new Error('the demo has ended')))
  })
}

function push(url, token) {
  const git = (...args) =>
    execFileSync('git', ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', ...args], {
      cwd: place,
      stdio: 'ignore',
    })
  writeFileSync(path.join(place, '.gitlab-ci.yml'), ci)
  git('init', '--initial-branch=main')
  git('add', '.')
  git('commit', '-m', 'Coupons')
  git('push', `http://root:${token}@${new URL(url).host}/shop/web.git`, 'main')
}
