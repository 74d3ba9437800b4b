import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readSettings } from '../src/config/read.js'
import { defaultSettings, SettingsError } from '../src/config/settings.js'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(path.join(os.tmpdir(), 'signalbox-config-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

const read = (toml: string | undefined, rest: Partial<Parameters<typeof readSettings>[0]> = {}) => {
  if (toml !== undefined) writeFileSync(path.join(cwd, 'signalbox.toml'), toml)
  return readSettings({ flags: {}, env: {}, cwd, ...rest })
}

it('lets a flag beat the environment, which beats the file, which beats the default', () => {
  expect(read(undefined).http).toBe('127.0.0.1:8080')
  expect(read(undefined).includes).toBeUndefined()
  const toml = 'http = "127.0.0.1:1"'
  expect(read(toml).http).toBe('127.0.0.1:1')
  const env = { SIGNALBOX_HTTP: '127.0.0.1:2' }
  expect(read(toml, { env }).http).toBe('127.0.0.1:2')
  expect(read(toml, { env, flags: { http: '127.0.0.1:3' } }).http).toBe('127.0.0.1:3')
})

it('is without flags, environment and file what `run` starts on', () => {
  expect(read(undefined)).toEqual(defaultSettings(path.join(cwd, 'signalbox-data')))
})

it('lets the environment beat the file in tables too, where there is the table', () => {
  const env = { SIGNALBOX_S3_ACCESS_KEY_ID: 'new', SIGNALBOX_S3_SECRET_ACCESS_KEY: 'secret', SIGNALBOX_GRPC: '[::1]:7' }
  expect(read(undefined, { env })).toMatchObject({ s3: undefined, grpc: '[::1]:7' })
  const { s3, grpc } = read('grpc = "127.0.0.1:5"\n[s3]\nbucket = "kept"\naccess_key_id = "old"', { env })
  expect([grpc, s3?.credentials]).toEqual(['[::1]:7', { accessKeyId: 'new', secretAccessKey: 'secret' }])
})

it('takes an empty variable as one that is not set', () => {
  expect(read(undefined, { env: { SIGNALBOX_HTTP: '' } }).http).toBe('127.0.0.1:8080')
})

it('reads where blobs are kept, with secrets from the environment', () => {
  expect(read(undefined).s3).toBeUndefined()
  const env = { SIGNALBOX_S3_ACCESS_KEY_ID: 'id', SIGNALBOX_S3_SECRET_ACCESS_KEY: 'secret' }
  expect(read('[s3]\nbucket = "kept"', { env: {} }).s3).toEqual({
    bucket: 'kept',
    endpoint: '',
    region: 'us-east-1',
    prefix: '',
    pathStyle: false,
    credentials: undefined,
    directDownload: true,
    requestChecksum: 'when_supported',
  })
  const toml = '[s3]\nbucket = "kept"\nendpoint = "http://store:9000/"\nprefix = "/box"\ndirect_download = false'
  expect(read(toml, { env }).s3).toMatchObject({
    endpoint: 'http://store:9000',
    prefix: 'box/',
    pathStyle: true,
    credentials: { accessKeyId: 'id', secretAccessKey: 'secret' },
    directDownload: false,
  })
  expect(read('[caches]\nkeep_for = "2 days"\nentry_bytes = 5').core.caches).toMatchObject({
    keepMs: 2 * 24 * 3_600_000,
    entryBytes: 5,
  })
  const wrong = [
    '[s3]',
    '[s3]\nbucket = "Not One"',
    '[s3]\nbucket = "kept"\nendpoint = "ftp://x"',
    '[s3]\nbucket = "kept"\naccess_key_id = "x"',
    '[s3]\nbucket = "kept"\npath_style = "yes"',
    '[s3]\nbucket = "kept"\nrequest_checksum = "never"',
    '[s3]\nbucket = "kept"\nkey = "x"',
    '[caches]\nentry_bytes = -1',
    '[caches]\nkeep_for = "soon"',
  ]
  for (const one of wrong) expect(() => read(one), one).toThrow(SettingsError)
})

it('reads when jobs are stuck and when tasks run', () => {
  const { core } = read(`
    [stuck]
    profile = "granular"
    running = "1s"
    [tasks]
    stuck_ci_jobs = "10 seconds"
    drop_timed_out = "*/2 * * * *"
  `)
  expect(core.stuck).toMatchObject({ profile: 'granular', runningMs: 1000, cancelingMs: 1_800_000 })
  expect(core.leases.byHand.heldForMs).toBe(1000)
  expect(core.queueObjectives).toEqual([])
  expect(core.taskTimes).toMatchObject({ stuck_ci_jobs: 10_000, drop_timed_out: '*/2 * * * *', expire_leases: 1000 })
})

it('reads how long jobs may wait', () => {
  const { core } = read(`
    [[monitoring.job_queuing_durations]]
    periods = ["* * * * * * *"]
    timezone = "UTC"
    threshold = "1m30s"
    jobs_running_for_project = "^[0-3]$"
  `)
  expect(core.queueObjectives).toMatchObject([{ thresholdS: 90 }])
})

it('reads which cell it is', () => {
  expect(read('').core).toMatchObject({ cell: null, isolateRunners: false })
  const { core } = read('[cell]\nid = 7\nisolate_runners = true')
  expect(core).toMatchObject({ cell: 7, isolateRunners: true })
})

it.each([
  ['[cell]\nid = "one"', 'cell.id'],
  ['[cell]\nid = 0', 'cell.id'],
  ['[cell]\nisolate_runners = 1', 'cell.isolate_runners'],
  ['[cell]\nname = "x"', 'cell'],
  ['[stuck]\nprofile = "modern"', 'stuck.profile'],
  ['[stuck]\nrunning = "soon"', 'stuck.running'],
  ['[stuck]\nnonsense = "1s"', 'stuck'],
  ['[tasks]\nstuck_ci_jobs = "61 * * * *"', 'tasks.stuck_ci_jobs'],
  ['[tasks]\ndrop_running = "1s"', 'tasks'],
  ['[tasks]\nexpire_leases = "25 days"', 'tasks.expire_leases'],
  ['[[monitoring.job_queuing_durations]]\nperiods = ["x"]', 'monitoring.job_queuing_durations[0].periods[0]'],
  [
    '[[monitoring.job_queuing_durations]]\nperiods = []\n[[monitoring.job_queuing_durations]]\nperiods = []\ntimezone = "Mars"',
    'monitoring.job_queuing_durations[1].timezone',
  ],
])('refuses %j', (toml, where) => {
  expect(() => read(toml)).toThrow(where)
})

it('takes the gRPC address as a text or in a table, with the URL under which runners find it', () => {
  expect(read('grpc = "127.0.0.1:5"')).toMatchObject({ grpc: '127.0.0.1:5', grpcExternalUrl: '' })
  const table = '[grpc]\naddress = "127.0.0.1:6"\nexternal_url = "grpcs://ci.example.com:443"'
  expect(read(table)).toMatchObject({ grpc: '127.0.0.1:6', grpcExternalUrl: 'grpcs://ci.example.com:443' })
  expect(read('[grpc]').grpc).toBe('127.0.0.1:8081')
  for (const wrong of ['"http://x"', '"grpc://x/path"', '"grpc://"', '7']) {
    expect(() => read(`[grpc]\nexternal_url = ${wrong}`), wrong).toThrow(SettingsError)
  }
  expect(() => read('[grpc]\nport = 1')).toThrow(/unknown key port/)
})

it('reads the tables of the file', () => {
  const settings = read(`
    data_dir = "elsewhere"
    [leases]
    stream_held_for = "2 minutes"
    poll_held_for = "5 minutes"
    [limits]
    jobs_per_pipeline = 7
    [artifacts]
    expire_in = "never"
    [includes]
    remote_hosts = ["gitlab.com", "git.example.com:8443"]
    templates_url = "https://gitlab.com/templates"
    [poll]
    hold = 0
    rate = 2.5
    [[plugins]]
    use = "./mine"
    config = { colour = "red" }
  `)
  expect(settings).toMatchObject({
    dataDir: path.join(cwd, 'elsewhere'),
    database: `sqlite:${path.join(cwd, 'elsewhere', 'signalbox.db')}`,
    keyFile: path.join(cwd, 'elsewhere', 'key'),
    includes: { hosts: ['gitlab.com', 'git.example.com:8443'], templatesUrl: 'https://gitlab.com/templates' },
    pollHoldMs: 0,
    pollsPerSecond: 2.5,
    plugins: [{ use: './mine', config: { colour: 'red' }, env: [], fail: 'open', dryRun: false }],
    baseFolder: cwd,
    core: { pipelineJobLimit: 7, artifactExpiryMs: null },
  })
  expect(settings.core.leases.stream.heldForMs).toBe(120_000)
  expect(settings.core.leases.twoPhase.heldForMs).toBe(300_000)
  expect(settings.core.leases.onePhase.heldForMs).toBe(300_000)
})

const durations = [
  ...['stream_accept_within', 'stream_held_for', 'stream_renew_every', 'poll_accept_within', 'poll_held_for'],
  ...['excluded_for', 'report_waits', 'cancel_grace'],
].map((key) => `leases.${key}`)
for (const key of ['pending', 'unmatched', 'running', 'canceling', 'scheduled', 'over_timeout', 'spacing'])
  durations.push(`stuck.${key}`)
durations.push('tasks.stuck_ci_jobs', 'caches.keep_for', 'artifacts.expire_in', 'artifacts.archive_logs_after')
durations.push('poll.hold', 'mirrors.timeout')

it.each(durations)('refuses durations for %s that cannot be', (where) => {
  const [table, key] = where.split('.')
  for (const value of [
    '"-5m"',
    '"5m -3s"',
    '"+5m"',
    '"- 5m"',
    '"5000 years"',
    '"9e99s"',
    '-5',
    '5',
    '1.5',
    'nan',
    'inf',
    '""',
    'true',
  ]) {
    expect(() => read(`[${table}]\n${key} = ${value}`), value).toThrow(new RegExp(`^${where}: must be`))
  }
  expect(() => read(`[${table}]\n${key} = "30s"`)).not.toThrow()
})

const mayBeNone = [
  // At the next look.
  ...durations.filter((where) => where.startsWith('stuck.')),
  'leases.excluded_for',
  'leases.report_waits',
  'leases.cancel_grace',
  'artifacts.archive_logs_after',
  'poll.hold',
]

it.each(durations)('takes none as %s only where that means something', (where) => {
  const [table, key] = where.split('.')
  for (const value of ['0', '"0"', '"0s"', '"0 minutes"']) {
    const reading = expect(() => read(`[${table}]\n${key} = ${value}`), value)
    if (mayBeNone.includes(where)) reading.not.toThrow()
    else reading.toThrow(new RegExp(`^${where}: must be`))
  }
})

const wrong: [toml: string, message: RegExp][] = [
  ['[leases]\nstream_held_for = "20s"\nstream_renew_every = "20s"', /^leases\.stream_renew_every: must be shorter/],
  ['[limits]\njobs_per_pipeline = 0', /^limits\.jobs_per_pipeline: must be a whole number, 1 or more/],
  ['[limits]\ntrace_bytes = 0', /^limits\.trace_bytes: must be/],
  ['[limits]\nartifact_bytes = 0', /^limits\.artifact_bytes: must be/],
  ['[limits]\ngit_depth = 4294967296', /^limits\.git_depth: must be a whole number, not negative, at most/],
  ['[limits]\ndotenv_variables = nan', /^limits\.dotenv_variables: must be/],
  ['[mirrors]\npack_bytes = 0', /^mirrors\.pack_bytes: must be/],
  ['[mirrors]\ntimeout = "30 days"', /^mirrors\.timeout: must be a duration of at most 24 days/],
  ['[poll]\nhold = "2h"', /^poll\.hold: must be a duration of at most 1 h/],
  ['[poll]\nrate = nan', /^poll\.rate: must be a number/],
  ['[[monitoring.job_queuing_durations]]\nperiods = []\nthreshold = "-1s"', /threshold: must be a duration/],
  ['grpc = "x"', /^grpc: x is not HOST:PORT/],
  ['grpc = 7', /^grpc: must be a table/],
  ['[grpc]\naddress = "x"', /^grpc\.address: x is not HOST:PORT/],
  ['[[plugins]]\nuse = "x"\nconfig = 1', /^plugins\[0\]\.config: must be a table/],
  ['[s3]\nbucket = "kept"\naccess_key_id = "x"', /^s3\.access_key_id: and s3\.secret_access_key need one another/],
  ['htpp = "127.0.0.1:1"', /signalbox\.toml: unknown key htpp; known are .*http/],
  ['http = 8080', /^http: must be a text/],
  ['http = "8080"', /^http: 8080 is not HOST:PORT/],
  ['http = "127.0.0.1:70000"', /^http: .* is not HOST:PORT/],
  ['http = "0.0.0.0:8080"', /^http: .*needs --insecure/],
  ['http = "[::]:8080"', /^http: .*needs --insecure/],
  ['insecure = "yes"', /^insecure: must be true or false/],
  ['database = "mysql://x"', /^database: must be sqlite:PATH or postgres/],
  ['external_url = "ftp://x"', /^external_url: .*not an http or https URL/],
  ['admin_token = "short"', /^admin_token: must have 20 or more characters/],
  ['log_level = "loud"', /^log_level: must be one of/],
  ['[leases]\nstream_held = "1s"', /^leases: unknown key stream_held/],
  ['[leases]\nstream_held_for = "soon"', /^leases\.stream_held_for: must be a duration/],
  ['leases = 1', /^leases: must be a table/],
  ['[limits]\ntrace_bytes = -1', /^limits\.trace_bytes: must be a whole number/],
  ['[limits]\ntrace_bytes = 1.5', /^limits\.trace_bytes: must be a whole number/],
  ['[includes]\nremote_hosts = "gitlab.com"', /^includes\.remote_hosts: must be a list/],
  ['[includes]\nremote_hosts = ["https://gitlab.com"]', /^includes\.remote_hosts: must be a list/],
  ['[includes]\ntemplates_url = "http://gitlab.com"', /^includes\.templates_url: must be an https URL/],
  ['[mirrors]\ntrusted_hosts = ["http://git.corp"]', /^mirrors\.trusted_hosts: must be a list/],
  ['[mirrors]\ntimeout = "soon"', /^mirrors\.timeout: must be a duration/],
  ['[includes]\nhosts = []', /^includes: unknown key hosts/],
  ['[poll]\nrate = -1', /^poll\.rate: must be a number/],
  ['[poll]\nrate = "10"', /^poll\.rate: must be a number/],
  ['plugins = 1', /^plugins: must be/],
  ['[[plugins]]\nuse = ""', /^plugins\[0\]\.use: must be a text/],
  ['[[plugins]]\nuse = "x"\ncolour = 1', /^plugins\[0\]: unknown key colour/],
  ['[[plugins]]\nuse = "x"\nenv = "HOME"', /^plugins\[0\]\.env: must be a list of names/],
  ['[[plugins]]\nuse = "x"\nmemory_mb = 8', /^plugins\[0\]\.memory_mb: must be/],
  ['a = ', /signalbox\.toml:1:\d+: /],
]

it.each(wrong)('refuses %j, and says where', (toml, message) => {
  expect(() => read(toml)).toThrow(message)
  expect(() => read(toml)).toThrow(SettingsError)
})

it('names the variable or the flag that is at fault', () => {
  expect(() => read(undefined, { env: { SIGNALBOX_HTTP: 'x' } })).toThrow(/^SIGNALBOX_HTTP: /)
  expect(() => read(undefined, { flags: { grpc: 'x' } })).toThrow(/^--grpc: /)
  expect(() => read(undefined, { flags: { config: 'nowhere.toml' } })).toThrow(/^--config: cannot read .*nowhere\.toml/)
  const env = { SIGNALBOX_S3_ACCESS_KEY_ID: 'x' }
  expect(() => read('[s3]\nbucket = "kept"', { env })).toThrow(/^SIGNALBOX_S3_ACCESS_KEY_ID: /)
  expect(() => read('s3 = 1', { env })).toThrow(/^s3: must be a table/)
})

it('allows plain text elsewhere where that is asked for', () => {
  expect(read(undefined, { flags: { http: '0.0.0.0:80', insecure: true } }).http).toBe('0.0.0.0:80')
  expect(read(undefined, { flags: { http: 'localhost:80' } }).http).toBe('localhost:80')
})
