/** TLS of both ports with real certificates: who gets in, who is told what, and new files without a restart. */
import { execFileSync, spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import tls from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readClientTls, type TlsFileNames } from '../../src/runner/client-tls.js'
import { grpcTransport } from '../../src/runner/transports/grpc.js'
import type { CarrierEnd } from '../../src/runner/transports/transport.js'
import { webSocketTransport } from '../../src/runner/transports/websocket.js'
import { TestCa } from '../support/certificates.js'
import { eventually } from '../support/eventually.js'
import { Coordinator, program, signalbox } from '../support/processes.js'

const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-tls-'))
let ours: TestCa
let foreign: TestCa
beforeAll(() => {
  ours = new TestCa(folder, 'ours')
  foreign = new TestCa(mkdtempSync(path.join(folder, 'foreign-')), 'foreign')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A coordinator with `[tls]`; its files are `server.crt` and `server.key` in a folder of its own. */
async function serve(signed: { cert: string; key: string }, clientCa?: string) {
  const home = mkdtempSync(path.join(folder, 'box-'))
  const put = (from: { cert: string; key: string }) => {
    copyFileSync(from.key, path.join(home, 'server.key'))
    copyFileSync(from.cert, path.join(home, 'server.crt'))
  }
  put(signed)
  const lines = ['[tls]', 'cert = "server.crt"', 'key = "server.key"']
  if (clientCa !== undefined) lines.push(`client_ca = "${clientCa}"`)
  writeFileSync(path.join(home, 'signalbox.toml'), lines.join('\n'))
  const box = await Coordinator.start({ flags: ['--config', path.join(home, 'signalbox.toml')] })
  return { box, put, home, [Symbol.asyncDispose]: () => box[Symbol.asyncDispose]() }
}

const variables = (files: TlsFileNames) => ({
  ...(files.tlsCaFile ? { SIGNALBOX_TLS_CA_FILE: files.tlsCaFile } : {}),
  ...(files.tlsCertFile
    ? { SIGNALBOX_TLS_CERT_FILE: files.tlsCertFile, SIGNALBOX_TLS_KEY_FILE: files.tlsKeyFile! }
    : {}),
})

/** How an attempt to attach ends that gets as far as the door: without Hello nobody stays. */
function knock(url: string, files: TlsFileNames, transport: typeof grpcTransport): Promise<CarrierEnd | 'let in'> {
  return new Promise((resolve) => {
    const carrier = transport({ url: new URL(url), token: 'glrt-nobody', tls: readClientTls(files) }).open({
      opened: () => carrier.send({ seq: 1, ack: 0, body: { $case: 'ping', value: { nonce: 1 } } }),
      message: () => {
        resolve('let in')
        carrier.close()
      },
      drained: () => undefined,
      closed: resolve,
    })
  })
}

// By its name: Node warns of addresses that are given as the name of a host.
const grpcUrlOf = (box: Coordinator) => box.grpcUrl.replace('127.0.0.1', 'localhost')

const doors = [
  ['WebSocket', webSocketTransport, (box: Coordinator) => box.url],
  ['gRPC', grpcTransport, grpcUrlOf],
] as const

describe('TLS', () => {
  it('is what both ports speak', { timeout: 60_000 }, async () => {
    await using served = await serve(ours.sign('server'))
    const { box } = served
    expect([box.url, box.grpcUrl]).toEqual([expect.stringMatching(/^https:/), expect.stringMatching(/^grpcs:/)])
    const env = { ...box.env, ...variables({ tlsCaFile: ours.file }) }
    const made = await signalbox(['runner', 'create', '--description', 'one'], { env })
    expect(made).toMatchObject({ code: 0, stdout: expect.stringContaining('glrt-') })
    expect(await signalbox(['doctor'], { env })).toMatchObject({ stdout: expect.stringContaining('is ready') })
    for (const [, transport, urlOf] of doors)
      expect(await knock(urlOf(box), { tlsCaFile: ours.file }, transport)).toBe('let in')
  })

  it('says why a certificate of the coordinator is not believed', { timeout: 90_000 }, async () => {
    const cases = [
      { signed: ours.sign('server'), tlsCaFile: undefined, says: 'name the CA with --tls-ca-file' },
      { signed: ours.sign('server'), tlsCaFile: foreign.file, says: 'name the CA with --tls-ca-file' },
      { signed: ours.sign('old', { expired: true }), tlsCaFile: ours.file, says: 'its certificate has expired' },
      { signed: ours.sign('else', { host: 'DNS:other.example' }), tlsCaFile: ours.file, says: "is another host's" },
    ]
    for (const { signed, tlsCaFile, says } of cases) {
      await using served = await serve(signed)
      const { box } = served
      const files: TlsFileNames = tlsCaFile === undefined ? {} : { tlsCaFile }
      for (const [name, transport, urlOf] of doors) {
        const end = await knock(urlOf(box), files, transport)
        expect(end, `${name}: ${says}`).toMatchObject({ kind: 'failed', message: expect.stringContaining(says) })
      }
      const asked = await signalbox(['runner', 'list'], { env: { ...box.env, ...variables(files) } })
      expect(asked).toMatchObject({ code: 6, stderr: expect.stringContaining(says) })
    }
  })

  it('takes new files without a restart, and keeps the old ones when the new are wrong', {
    timeout: 60_000,
  }, async () => {
    await using served = await serve(ours.sign('server'))
    const { box, home, put } = served
    const shown = () =>
      new Promise<string>((resolve, reject) => {
        const { port } = new URL(box.url)
        const socket = tls.connect({ port: Number(port), host: '127.0.0.1', rejectUnauthorized: false }, () => {
          resolve(String(socket.getPeerCertificate().subject.CN))
          socket.destroy()
        })
        socket.on('error', reject)
      })
    expect(await shown()).toBe('server')
    writeFileSync(path.join(home, 'server.key'), 'no key')
    await eventually(() => box.stderr.includes('the files of [tls] are not right'))
    expect(await shown()).toBe('server')
    put(ours.sign('renewed'))
    await eventually(async () => (await shown()) === 'renewed')
    expect(await knock(grpcUrlOf(box), { tlsCaFile: ours.file }, grpcTransport)).toBe('let in')
  })

  it('starts with no file that is not right', async () => {
    const { cert } = ours.sign('one')
    const { key } = ours.sign('another')
    const config = path.join(folder, 'wrong.toml')
    const tries = [
      [`[tls]\ncert = "${cert}"\nkey = "${key}"`, 'cannot be used'],
      [`[tls]\ncert = "${cert}"\nkey = "gone.key"`, 'tls.key: cannot be read'],
      [`[tls]\ncert = "${cert}"`, 'tls.key'],
    ]
    for (const [text, says] of tries) {
      writeFileSync(config, text!)
      const args = ['serve', '--config', config, '--data-dir', path.join(folder, 'wrong'), '--http', '127.0.0.1:0']
      expect(await signalbox(args)).toMatchObject({ code: 2, stderr: expect.stringContaining(says!) })
    }
  })
})

describe('with client_ca', () => {
  it('lets in whom the CA has signed, and tells others why not', { timeout: 60_000 }, async () => {
    await using served = await serve(ours.sign('server'), ours.file)
    const { box } = served
    const filesOf = ({ cert, key }: { cert: string; key: string }) => ({
      ...{ tlsCaFile: ours.file, tlsCertFile: cert, tlsKeyFile: key },
    })
    const good = filesOf(ours.sign('client'))
    const cases: [TlsFileNames, string][] = [
      [{ tlsCaFile: ours.file }, 'none came'],
      [filesOf(foreign.sign('stranger')), 'has not signed it'],
      [filesOf(ours.sign('late', { expired: true })), 'it has expired'],
    ]
    const list = (files: TlsFileNames) => signalbox(['runner', 'list'], { env: { ...box.env, ...variables(files) } })
    expect(await list(good)).toMatchObject({ code: 0 })
    for (const [, transport, urlOf] of doors) expect(await knock(urlOf(box), good, transport)).toBe('let in')
    for (const [files, says] of cases) {
      expect(await list(files), says).toMatchObject({ code: 4, stderr: expect.stringContaining(says) })
      for (const [name, transport, urlOf] of doors) {
        const end = await knock(urlOf(box), files, transport)
        expect(end, name).toMatchObject({ kind: 'unauthorized', message: expect.stringContaining(says) })
      }
    }
  })

  it('lets nobody in by a session that had no certificate', { timeout: 60_000 }, async () => {
    await using served = await serve(ours.sign('server'), ours.file)
    const { port } = new URL(served.box.url)
    const ask = (session?: Buffer) =>
      new Promise<{ said: string; session: Buffer | undefined; reused: boolean }>((resolve, reject) => {
        let given: Buffer | undefined
        let said = ''
        const options = { port: Number(port), host: '127.0.0.1', rejectUnauthorized: false }
        const socket = tls.connect({ ...options, ...(session ? { session } : {}) })
        socket.on('session', (one: Buffer) => {
          given = one
        })
        socket.on('data', (data) => {
          said += data
        })
        socket.on('error', reject)
        let reused = false
        socket.on('secureConnect', () => {
          reused = socket.isSessionReused()
        })
        socket.on('close', () => resolve({ said, session: given, reused }))
        socket.write('GET /-/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
      })
    const first = await ask()
    expect(first.said).toMatch(/^HTTP\/1.1 403 /)
    const second = await ask(first.session)
    expect(second.reused).toBe(true)
    expect(second.said).toMatch(/^HTTP\/1.1 403 /)
  })

  it('lets jobs of a runner with a certificate fetch their sources', { timeout: 90_000 }, async () => {
    await using served = await serve(ours.sign('server'), ours.file)
    const { box } = served
    const { cert, key } = ours.sign('runner')
    const files = { tlsCaFile: ours.file, tlsCertFile: cert, tlsKeyFile: key }
    const env = { ...process.env, ...box.env, ...variables(files) } as Record<string, string>
    const git = { ...env, GIT_SSL_CAINFO: ours.file, GIT_SSL_CERT: cert, GIT_SSL_KEY: key }
    const sources = mkdtempSync(path.join(folder, 'sources-'))
    writeFileSync(
      path.join(sources, '.gitlab-ci.yml'),
      'one:\n  script: [test -f .gitlab-ci.yml, "echo from $CI_SERVER_URL"]\n',
    )
    const made = await signalbox(['project', 'create', 'team/app'], { env })
    expect(made).toMatchObject({ code: 0 })
    const token = (await signalbox(['runner', 'create', '--description', 'one'], { env })).stdout.trim()
    const config = path.join(sources, '..', 'signalbox-runner.toml')
    writeFileSync(
      config,
      [
        ...['[[runners]]', 'name = "one"', `url = "${box.url}"`, `token = "${/glrt-\S+/.exec(token)![0]}"`],
        ...[`tls_ca_file = "${ours.file}"`, `tls_cert_file = "${cert}"`, `tls_key_file = "${key}"`],
      ].join('\n'),
    )
    expect(await signalbox(['runner', 'verify', '--config', config])).toMatchObject({ code: 0 })
    const sh = (script: string) =>
      execFileSync('sh', ['-ec', script], { cwd: sources, env: git, stdio: 'pipe' }).toString()
    const remote = `${box.url.replace('https://', `https://root:${box.token}@`)}/team/app.git`
    sh(
      `git init -q -b main . && git add . && git -c user.name=a -c user.email=a@b.c commit -qm one && git push -q ${remote} main`,
    )
    const runner = spawn(process.execPath, [program, 'runner', 'start', '--config', config], { stdio: 'ignore' })
    const watched = await signalbox(['pipeline', 'watch', '1'], { env })
    const log = await signalbox(['job', 'log', '1'], { env })
    runner.kill('SIGKILL')
    expect(watched, log.stdout).toMatchObject({ code: 0 })
    expect(log.stdout).toContain(`from ${box.url}`)
  })
})
