/**
 * What plugins of others can do wrong, on a real coordinator with a real runner: pipelines go on, whoever was at fault is
 * named, and comes back by itself; so again after the coordinator was killed and started anew. The suite has some faults of
 * each kind; `SIGNALBOX_TEST_LONG` has all, and writes the table of docs/plugins.md to the file that
 * `SIGNALBOX_FAULT_TABLE` names.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it, vi } from 'vitest'
import { Coordinator, git } from '../support/processes.js'
import { applies, blames, faults, faultySource, type Kind, kinds } from './support/faulty.js'

const long = process.env.SIGNALBOX_TEST_LONG === '1'
vi.setConfig({ testTimeout: long ? 900_000 : 240_000 })

/** A failure that takes longer to be well than so many pipelines is one of ours. */
const mostPipelines = 40

interface Faulty {
  id: string
  kind: Kind
  fault: string
  blame: string | undefined
  blamedAfterMs: number | undefined
  wellAfterMs: number | undefined
}

/** One coordinator, its runner, and plugins of which each goes wrong once. */
class Matrix implements AsyncDisposable {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-faults-'))
  readonly faulty: Faulty[]
  box!: Coordinator

  constructor(pairs: readonly [string, Kind][]) {
    this.faulty = pairs.map(([fault, kind]) => ({
      id: `${kind}.${fault}`,
      kind,
      fault,
      blame: undefined,
      blamedAfterMs: undefined,
      wellAfterMs: undefined,
    }))
  }

  async start(): Promise<void> {
    for (const { id, kind, fault } of this.faulty) {
      const home = path.join(this.folder, id.replace('.', '-'))
      mkdirSync(home)
      const signalbox = { apiVersion: 1, kind }
      writeFileSync(path.join(home, 'package.json'), JSON.stringify({ type: 'module', main: 'index.js', signalbox }))
      writeFileSync(path.join(home, 'index.js'), faultySource(fault, kind))
    }
    const entries = this.faulty.map(({ id }) => `[[plugins]]\nuse = "./${id.replace('.', '-')}"\n`)
    const settings = path.join(this.folder, 'signalbox.toml')
    writeFileSync(settings, entries.join(''))
    this.box = await Coordinator.start({ flags: ['--config', settings, '--log-level', 'error'] })
    await this.box.signalbox('project', 'create', 'team/app')
    const jobs = { good: { script: 'true' }, bad: { script: 'false', allow_failure: true } }
    const clone = await this.box.repository('team/app', { '.gitlab-ci.yml': JSON.stringify(jobs) })
    await git(clone, 'push', '--quiet', 'origin', 'main')
    await this.box.runner('websocket')
  }

  /** What the plugin has written down of itself, as a time. */
  #moment({ id }: Faulty, what: 'been' | 'well'): number | undefined {
    const file = path.join(this.box.dataDir, 'plugins', id.replace('.', '-'), what)
    return existsSync(file) ? Number(readFileSync(file, 'utf8')) : undefined
  }

  /** From now on each goes wrong once more. */
  forget(): void {
    for (const one of this.faulty) {
      const home = path.join(this.box.dataDir, 'plugins', one.id.replace('.', '-'))
      for (const what of ['been', 'well']) rmSync(path.join(home, what), { force: true })
      Object.assign(one, { blame: undefined, blamedAfterMs: undefined, wellAfterMs: undefined })
    }
  }

  /** Makes pipelines until every plugin has gone wrong, was named for it, and is well; each must go as ever. */
  async play(): Promise<void> {
    const isDone = (one: Faulty) => one.blame !== undefined && one.wellAfterMs !== undefined
    for (let played = 0; !this.faulty.every(isDone); played++) {
      expect(played, JSON.stringify(this.faulty.filter((one) => !isDone(one)))).toBeLessThan(mostPipelines)
      const made = await this.box.api<{ id: number }>('POST', '/api/v4/projects/1/pipeline?ref=main')
      for (;;) {
        await this.#askExecutors()
        await this.#look()
        const { status } = await this.box.api<{ status: string }>('GET', `/api/v4/projects/1/pipelines/${made.id}`)
        if (status === 'success') break
        expect(['created', 'pending', 'running']).toContain(status)
        await pause(100)
      }
    }
  }

  /** A runner of each executor says that it is there: its features are asked for. */
  async #askExecutors(): Promise<void> {
    const waiting = this.faulty.filter((one) => one.kind === 'executor' && one.wellAfterMs === undefined)
    if (waiting.length === 0) return
    this.#token ??= (await this.box.signalbox('runner', 'create', '--tags', 'nobody')).stdout.trim()
    const ask = ({ fault }: Faulty) =>
      fetch(`${this.box.url}/api/v4/jobs/request`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        // Asked about anew, since what it has answered for the same facts is at hand.
        body: JSON.stringify({
          token: this.#token,
          system_id: `s_${++this.#asked}`,
          info: { executor: fault, platform: `linux${this.#asked}` },
        }),
      })
    const answers = await Promise.all(waiting.map(ask))
    for (const answer of answers) expect(answer.status, await answer.text()).toBe(204)
  }

  #token: string | undefined
  #asked = 0

  async #look(): Promise<void> {
    const list = await this.box.api<{ id: string; state: string; last_error: string | null; last_error_at: string }[]>(
      'GET',
      '/api/signalbox/v1/plugins',
    )
    for (const one of this.faulty) {
      const seen = list.find(({ id }) => id === one.id || id === `./${one.id.replace('.', '-')}`)
      const been = this.#moment(one, 'been')
      if (!seen || been === undefined) continue
      await this.#blame(one, seen, been)
      const well = this.#moment(one, 'well')
      if (well !== undefined && seen.state === 'ready') one.wellAfterMs ??= well - been
    }
  }

  async #blame(one: Faulty, seen: { last_error: string | null; last_error_at: string }, been: number): Promise<void> {
    if (one.blame !== undefined) return
    const expected = blames[one.fault]
    if (expected === undefined) {
      const page = await (await fetch(`${this.box.url}/metrics`)).text()
      const dropped = new RegExp(`^signalbox_plugin_dropped_metrics_total\\{plugin="${one.id}"\\} (\\d+)$`, 'm').exec(
        page,
      )
      if (Number(dropped?.[1] ?? 0) === 0) return
      one.blame = `${dropped?.[1]} figures dropped`
      one.blamedAfterMs = Date.now() - been
    } else if (seen.last_error && expected.test(seen.last_error)) {
      one.blame = seen.last_error
      one.blamedAfterMs = Math.max(0, Date.parse(seen.last_error_at) - been)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.box?.[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

const table: string[] = []

/** In the suite one fault of each kind, together on one coordinator. */
const some: [string, Kind][] = [
  ['throws-at-load', 'classifier'],
  ['throws-in-call', 'exporter'],
  ['floods-metrics', 'admission'],
  ['exits', 'executor'],
]
const all = (kind: Kind) => faults.filter((fault) => applies(fault, kind)).map((fault): [string, Kind] => [fault, kind])
const rounds: [string, [string, Kind][]][] = long
  ? kinds.map((kind) => [kind, all(kind)])
  : [['one of each kind', some]]

it.each(rounds)('pipelines go on while plugins go wrong, each is named, and comes back: %s', async (_, pairs) => {
  await using matrix = new Matrix(pairs)
  await matrix.start()
  await matrix.play()
  for (const { fault, kind, blame, blamedAfterMs, wellAfterMs } of matrix.faulty) {
    table.push(`| ${fault} | ${kind} | ${blame} | ${blamedAfterMs} ms | ${((wellAfterMs ?? 0) / 1000).toFixed(1)} s |`)
  }
  if (long && process.env.SIGNALBOX_FAULT_TABLE)
    writeFileSync(process.env.SIGNALBOX_FAULT_TABLE, `${table.join('\n')}\n`)
  await matrix.box.kill()
  matrix.forget()
  await matrix.box.up()
  await matrix.play()
})
