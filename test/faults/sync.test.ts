/**
 * Acknowledged means on disk: a system-call trace shows, between the write of a log's bytes and the answer to its sender,
 * a sync of that very file, and another of the store's log that says how many bytes count. With the syncs taken away the
 * same look finds them missing.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { Coordinator } from '../support/processes.js'

function has(tool: string): boolean {
  try {
    execFileSync(tool, ['-V'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

interface SystemCall {
  name: string
  fd: number
  /** Of the file behind it. */
  path: string
  text: string
}

/** The calls of a trace in the order in which they ended; those that were interrupted by others are joined. */
function readTrace(file: string): SystemCall[] {
  const started = new Map<string, string>()
  const calls: SystemCall[] = []
  for (const line of readFileSync(file, 'latin1').split('\n')) {
    const [, pid = '', rest = ''] = /^(\d+)\s+(.*)$/.exec(line) ?? []
    if (rest.endsWith('<unfinished ...>')) {
      started.set(pid, rest.slice(0, -'<unfinished ...>'.length))
      continue
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)
    const text = resumed ? `${started.get(pid) ?? ''}${resumed[1]}` : rest
    const [, name, fd, file = ''] = /^(\w+)\((\d+)(?:<([^>]*)>)?/.exec(text) ?? []
    if (name) calls.push({ name, fd: Number(fd), path: file, text })
  }
  return calls
}

const isWrite = ({ name }: SystemCall) => /^(p?write(64|v)?|pwritev2?|sendto|sendmsg)$/.test(name)
const isSync = ({ name }: SystemCall) => name === 'fdatasync' || name === 'fsync'

/** What is missing between the write of `probe` and its acknowledgement; nothing if all is well. */
function faultsOf(calls: SystemCall[], probe: string): string[] {
  const written = calls.findIndex((call) => /^pwrite/.test(call.name) && call.text.includes(probe))
  if (written === -1) return [`no write of ${probe}`]
  const file = calls[written]!.fd
  const answered = calls.findIndex((call, i) => i > written && isWrite(call) && call.text.includes('HTTP/1.1 202'))
  if (answered === -1) return ['no answer']
  const between = calls.slice(written + 1, answered)
  const synced = between.findIndex((call) => isSync(call) && call.fd === file)
  const faults: string[] = []
  if (synced === -1) faults.push('the log was not synced before its answer')
  const afterSync = between.slice(synced + 1)
  // Into the store's log: a checkpoint may write the database itself meanwhile.
  const stored = afterSync.filter((call) => /^pwrite/.test(call.name) && call.path.endsWith('-wal'))
  if (stored.length === 0) faults.push('its length was not written after its bytes')
  else if (!afterSync.some((call) => isSync(call) && call.fd === stored.at(-1)!.fd)) {
    faults.push('its length was not synced before its answer')
  }
  return faults
}

/** Starts a coordinator under the tracer, sends three pieces of log, and gives the faults of each. */
async function trace(nodeFlags: string[]): Promise<string[][]> {
  const probes = ['PROBE-one', 'PROBE-two', 'PROBE-three']
  const output = `/tmp/signalbox-trace-${process.pid}-${nodeFlags.length}`
  const calls = 'trace=write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync'
  await using box = await Coordinator.start({
    wrapper: ['strace', '-f', '-q', '-y', '-s', '256', '-e', calls, '-e', 'signal=none', '-o', output],
    ...(nodeFlags.length > 0 ? { nodeFlags } : {}),
  })
  const { token } = await box.api<{ token: string }>('POST', '/api/v4/user/runners', { runner_type: 'instance_type' })
  await box.repository('team/app', { '.gitlab-ci.yml': '{"j": {"script": "x"}}' }).then(async (folder) => {
    execFileSync('git', ['push', '--quiet', 'origin', 'main'], { cwd: folder, stdio: 'ignore' })
  })
  const request = await fetch(`${box.url}/api/v4/jobs/request`, {
    method: 'POST',
    body: new URLSearchParams({ token }),
  })
  const job = (await request.json()) as { id: number; token: string }
  let offset = 0
  for (const probe of probes) {
    const answer = await fetch(`${box.url}/api/v4/jobs/${job.id}/trace`, {
      method: 'PATCH',
      headers: { 'Job-Token': job.token, 'Content-Range': `${offset}-${offset + probe.length - 1}` },
      body: probe,
    })
    expect(answer.status).toBe(202)
    offset += probe.length
  }
  await box.stop()
  const trace = readTrace(output)
  execFileSync('rm', ['-f', output])
  return probes.map((probe) => faultsOf(trace, probe))
}

describe.skipIf(!has('strace'))('an acknowledged piece of log', () => {
  it('was synced, and so was the row that counts it, before the answer left', async () => {
    expect(await trace([])).toEqual([[], [], []])
  })

  it('is found wanting by the same look when the syncs are taken away', async () => {
    const patch = path.join('/tmp', `signalbox-no-sync-${process.pid}.mjs`)
    writeFileSync(
      patch,
      `import { open } from 'node:fs/promises'
       const handle = await open('/dev/null')
       Object.getPrototypeOf(handle).datasync = async () => {}
       await handle.close()`,
    )
    const found = await trace(['--import', patch])
    for (const faults of found) expect(faults).toContain('the log was not synced before its answer')
  })
})
