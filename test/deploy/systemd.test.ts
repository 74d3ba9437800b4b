/** The units of `deploy/systemd`, as systemd itself judges them. */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, it } from 'vitest'

const units = ['signalbox', 'signalbox-runner']

function tool(): boolean {
  try {
    execFileSync('sh', ['-c', 'command -v systemd-analyze'])
    return true
  } catch {
    return false
  }
}

it.skipIf(!tool())('are units that systemd takes, and the coordinator’s is closed to most', () => {
  const root = mkdtempSync(path.join(os.tmpdir(), 'signalbox-units-'))
  try {
    const place = path.join(root, 'etc/systemd/system')
    mkdirSync(place, { recursive: true })
    mkdirSync(path.join(root, 'usr/bin'), { recursive: true })
    const program = path.join(root, 'usr/bin/signalbox')
    writeFileSync(program, '#!/bin/sh\n')
    chmodSync(program, 0o755)
    for (const unit of units) cpSync(`deploy/systemd/${unit}.service`, path.join(place, `${unit}.service`))
    for (const unit of units) {
      const file = path.join(place, `${unit}.service`)
      // The program is where the package puts it, not here; all else is as it is installed.
      writeFileSync(file, readFileSync(file, 'utf8').replace('/usr/bin/signalbox', program))
      const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' })
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    }
    // 0 is closed, 10 open; 20 stands for 2.0.
    const judge = ['security', '--offline=yes', '--no-pager', '--threshold=20', path.join(place, 'signalbox.service')]
    expect(execFileSync('systemd-analyze', judge, { encoding: 'utf8' })).toMatch(
      /Overall exposure level for signalbox.service: [01]\.\d OK/,
    )
  } finally {
    rmSync(root, { recursive: true })
  }
})
