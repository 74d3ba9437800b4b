/** How the first administrator gets in, by the line that the first start logs; and the page's button for an OpenID provider. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { stringify } from 'smol-toml'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { client, RealProvider, Wanderer } from '../support/openid.js'
import { Coordinator } from '../support/processes.js'
import { hasBrowser, startBrowser, visit } from './browser.js'

const linkLine = /"url":"([^"]+\/-\/password\?token=[\w-]+)","msg":"the administrator root sets a password here/

it('logs one link at the first start, which sets the password once', async () => {
  await using box = await Coordinator.start({ flags: ['--log-level', 'info'] })
  await eventually(() => expect(box.stderr).toMatch(linkLine))
  const link = linkLine.exec(box.stderr)![1]!
  const password = 'correct horse battery'
  const form = { token: new URL(link).searchParams.get('token')!, password, again: password }
  const set = () => fetch(link, { method: 'POST', body: new URLSearchParams(form) })
  expect((await fetch(link)).status).toBe(200)
  expect([(await set()).status, (await set()).status]).toEqual([200, 401])
  const signedIn = await fetch(`${box.url}/api/signalbox/v1/session`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ username: 'root', password }),
  })
  expect(signedIn.status).toBe(201)
  await box.stop()
  const before = box.stderr.length
  await box.up()
  expect((await new Wanderer().go(`${box.url}/-/health`)).status).toBe(200)
  expect(box.stderr.slice(before)).not.toMatch(linkLine)
})

it.skipIf(!hasBrowser)('has a button for each provider, and comes back to the address that was asked for', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-sign-in-'))
  const provider = await RealProvider.start()
  try {
    const config = path.join(folder, 'signalbox.toml')
    const one = {
      name: 'corp',
      label: 'Corp',
      issuer: provider.issuer,
      client_id: client.id,
      client_secret: client.secret,
    }
    writeFileSync(config, stringify({ openid: [{ ...one, sign_out: true }] }))
    await using box = await Coordinator.start({ flags: ['--config', config] })
    provider.serve(box.url)
    provider.account = { sub: 'u-1', preferred_username: 'ada', name: 'Ada' }
    const browser = await startBrowser()
    try {
      const { page, complaints } = await visit(browser, `${box.url}/-/fleet`, '')
      await page.getByRole('button', { name: 'Sign in with Corp' }).click()
      await page.waitForURL(`${box.url}/-/fleet`)
      await page.getByText('ada', { exact: false }).first().waitFor()
      await page.getByRole('button', { name: 'Sign out' }).click()
      await page.waitForURL((url) => url.href.startsWith(`${provider.issuer}/session/end`))
      await page.goto(box.url)
      await page.getByRole('button', { name: 'Sign in with Corp' }).waitFor()
      // A server that has just started does not know where the provider has what.
      await provider.close()
      await box.stop()
      await box.up()
      await page.getByRole('button', { name: 'Sign in with Corp' }).click()
      await page.getByRole('alert').waitFor()
      expect(complaints).toEqual([])
    } finally {
      await browser.close()
    }
  } finally {
    await provider.close().catch(() => undefined)
    rmSync(folder, { recursive: true, force: true })
  }
})
