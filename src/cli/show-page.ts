/** Shows an address of the page in the browser of whoever has typed the command. */
import { spawn } from 'node:child_process'
import type { Terminal } from './terminal.js'

const openers: Readonly<Record<string, string>> = { darwin: 'open', win32: 'explorer' }

/** Tells the address, and opens it where there is somebody to look: not over a network, in CI, or without a screen. */
export function showPage(terminal: Pick<Terminal, 'say'>, env: NodeJS.ProcessEnv, address: string): void {
  terminal.say(`look at ${address}`)
  const hasScreen = process.platform in openers || env.DISPLAY || env.WAYLAND_DISPLAY
  if (!hasScreen || env.CI || env.SSH_CONNECTION) return
  const browser = spawn(env.BROWSER || openers[process.platform] || 'xdg-open', [address], {
    stdio: 'ignore',
    detached: true,
  })
  // Who has no browser has the address.
  browser.on('error', () => undefined)
  browser.unref()
}
