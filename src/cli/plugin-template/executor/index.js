import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { definePlugin, schema } from 'signalbox/plugin'

export default definePlugin({
  id: 'executor.NAME',
  apiVersion: 1,
  config: schema.table({
    /** The shell that runs the scripts. */
    shell: schema.choice(['bash', 'sh'], { default: 'bash' }),
  }),
  setup(host, config) {
    host.executor('NAME', {
      capabilities: (facts) => [...facts.features, 'variables', 'shared'],
      runner: new Runner(config.shell),
    })
  },
})

/** @typedef {import('signalbox/plugin').ExecutorRunner} ExecutorRunner */

/**
 * Runs each script on the runner's host, as the leader of a process group of its own: so that it ends with all that it starts.
 *
 * @implements {ExecutorRunner}
 */
class Runner {
  /** @param {'bash' | 'sh'} shell */
  constructor(shell) {
    this.shell = shell
    /** @type {Map<string, { temp: string, groups: Set<number> }>} */
    this.sessions = new Map()
  }

  /** @type {ExecutorRunner['prepare']} */
  async prepare({ session, folders }) {
    this.sessions.set(session, { temp: folders.temp, groups: new Set() })
    return { facts: { host: os.hostname() }, shell: this.shell }
  }

  /** @type {ExecutorRunner['run']} */
  async run({ session: name, script, env, cwd }, output) {
    const session = this.sessions.get(name)
    if (!session) throw new Error(`session ${name} is not prepared`)
    const file = path.join(session.temp, `script-${session.groups.size}`)
    await writeFile(file, script, { mode: 0o700 })
    const child = spawn(this.shell, [file], {
      cwd,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    if (child.pid !== undefined) session.groups.add(child.pid)
    const pump = async (/** @type {AsyncIterable<Uint8Array>} */ stream) => {
      // Waiting for each chunk slows the script down when the log cannot be taken as fast as it is written.
      for await (const chunk of stream) await output(chunk)
    }
    /** @type {Promise<import('signalbox/plugin').RunResult>} */
    const ended = new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }))
    })
    const [result] = await Promise.all([ended, pump(child.stdout), pump(child.stderr)])
    return result
  }

  /** @type {ExecutorRunner['cancel']} */
  async cancel({ session, graceMs }) {
    const groups = [...(this.sessions.get(session)?.groups ?? [])]
    const forceAt = Date.now() + graceMs
    if (graceMs > 0) for (const group of groups) signal(group, 'SIGTERM')
    while (groups.some(isAlive)) {
      if (Date.now() >= forceAt) for (const group of groups) signal(group, 'SIGKILL')
      await sleep(10)
    }
  }

  /** @type {ExecutorRunner['cleanUp']} */
  async cleanUp({ session }) {
    await this.cancel({ session, graceMs: 0 })
    this.sessions.delete(session)
  }
}

/** @param {number} group */
function isAlive(group) {
  return signal(group, 0)
}

/**
 * Sends a signal to a process group; gives whether there was one.
 *
 * @param {number} group
 * @param {NodeJS.Signals | 0} name
 */
function signal(group, name) {
  try {
    process.kill(-group, name)
    return true
  } catch {
    return false
  }
}
