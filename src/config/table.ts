/**
 * Every setting of `signalbox.toml`, declared once: its kind, least and most, default, flag, variable and description.
 * What reads settings, their JSON Schema and docs/settings.md are made from this.
 */
import * as z from 'zod/mini'
import {
  artifactsTable,
  cachesTable,
  leasesTable,
  limitsTable,
  queueObjective,
  retentionTable,
  stuckTable,
  tasksTable,
} from './job-tables.js'
import {
  address,
  duration,
  durationText,
  hosts,
  httpUrl,
  isLoopback,
  longestTimerMs,
  oneOf,
  refuse,
  setting,
  table,
  text,
  trueOrFalse,
  wholeNumber,
} from './kinds.js'
import { openIdTables } from './openid-table.js'
import { defaultSettings, logLevels } from './settings.js'

const given = defaultSettings('./signalbox-data')

const grpcUrlMessage = 'must be grpc://HOST[:PORT] or grpcs://HOST[:PORT]'
const thresholdMessage = 'must be a number from 0 to 1'
const rateMessage = 'must be a number of polls a second, not negative'
const httpsMessage = 'must be an https URL'
const shortestToken = 20

const s3Table = table({
  bucket: setting(
    z
      .string('must be a text')
      .check(z.regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'must name a bucket: 3 to 63 of a-z, 0-9, "." and "-"')),
    'The bucket.',
  ),
  endpoint: setting(z.prefault(httpUrl(), ''), "Address of a service that is not Amazon's."),
  region: setting(z.prefault(text(), 'us-east-1'), 'Region of the bucket.'),
  prefix: setting(z.prefault(text(), ''), 'What the names of everything in the bucket begin with.'),
  path_style: setting(z.optional(trueOrFalse()), 'The bucket stands in the path of addresses, not in the host.', {
    default: '`true` with an endpoint',
  }),
  access_key_id: setting(z.prefault(text(), ''), 'Half of the key pair; without one it is found as the AWS tools do.', {
    env: 'SIGNALBOX_S3_ACCESS_KEY_ID',
  }),
  secret_access_key: setting(z.prefault(text(), ''), 'The other half, better kept in the environment.', {
    env: 'SIGNALBOX_S3_SECRET_ACCESS_KEY',
  }),
  direct_download: setting(
    z.prefault(trueOrFalse(), true),
    'Who asks with `direct_download=true` is sent to the bucket.',
  ),
  request_checksum: setting(
    z.prefault(oneOf(['when_supported', 'when_required']), 'when_supported'),
    '`when_required` for services that refuse the checksums of newer clients.',
  ),
}).check(
  z.refine((one) => (one.access_key_id === '') === (one.secret_access_key === ''), {
    path: ['access_key_id'],
    error: 'and s3.secret_access_key need one another',
  }),
)

export const settingsTable = table({
  data_dir: setting(
    z.prefault(text(), given.dataDir),
    'The folder of everything that is kept: store, keys, logs, artifacts, repositories.',
    { flag: '--data-dir', env: 'SIGNALBOX_DATA_DIR' },
  ),
  repositories: setting(
    z.prefault(text(), ''),
    'The folder of hosted git repositories. Several nodes share one, on a file system that all of them see.',
    { env: 'SIGNALBOX_REPOSITORIES', default: '`DATA/repositories`' },
  ),
  http: setting(z.prefault(address(), given.http), '`HOST:PORT` of HTTP; port 0 takes a free one.', {
    flag: '--http',
    env: 'SIGNALBOX_HTTP',
  }),
  grpc: setting(
    z.prefault(
      table({
        address: setting(z.prefault(address(), given.grpc), '`HOST:PORT` of gRPC; port 0 takes a free one.', {
          flag: '--grpc',
          env: 'SIGNALBOX_GRPC',
        }),
        external_url: setting(
          z.prefault(
            z.pipe(
              z
                .string(grpcUrlMessage)
                .check(
                  z.refine(
                    (url) => url === '' || (/^grpcs?:\/\/[^/?#@\s]+\/?$/.test(url) && URL.canParse(url)),
                    grpcUrlMessage,
                  ),
                ),
              z.transform((url: string) => url.replace(/\/$/, '')),
            ),
            '',
          ),
          'Where GitLab Runners find the Job Router: `grpcs://HOST[:PORT]`.',
          { default: 'a tunnel below `external_url`' },
        ),
      }),
      {},
    ),
    'Where gRPC is served. `grpc = "HOST:PORT"` is short for a table with the address alone.',
  ),
  database: setting(
    z.prefault(
      text().check(
        z.refine(
          (value) => value === '' || /^(sqlite:|postgres(ql)?:\/\/)/.test(value),
          'must be sqlite:PATH or postgres://…',
        ),
      ),
      '',
    ),
    '`sqlite:PATH` or `postgres://…`.',
    {
      flag: '--database',
      env: 'SIGNALBOX_DATABASE',
      default: '`sqlite:DATA/signalbox.db`',
    },
  ),
  database_wait: setting(
    z.prefault(duration(), durationText(given.databaseWaitMs)),
    'How long a start waits for a PostgreSQL that is away.',
  ),
  external_url: setting(z.prefault(httpUrl(), ''), 'How runners and people reach this coordinator.', {
    flag: '--external-url',
    env: 'SIGNALBOX_EXTERNAL_URL',
    default: '`http://` + the HTTP address',
  }),
  admin_token: setting(
    z.prefault(
      text().check(
        z.refine(
          (token) => token === '' || (token.length >= shortestToken && !/[^\x21-\x7e]/.test(token)),
          `must have ${shortestToken} or more characters, without blanks`,
        ),
      ),
      '',
    ),
    "The administrator's token.",
    { env: 'SIGNALBOX_ADMIN_TOKEN', default: 'made in `DATA/admin-token` at the first start' },
  ),
  key_file: setting(z.prefault(text(), ''), 'The file of the key that secrets are encrypted with.', {
    env: 'SIGNALBOX_KEY_FILE',
    default: 'made as `DATA/key`',
  }),
  log_level: setting(z.prefault(oneOf(logLevels), given.logLevel), 'What is logged at least.', {
    flag: '--log-level',
    env: 'SIGNALBOX_LOG_LEVEL',
  }),
  insecure: setting(
    z.prefault(trueOrFalse(), given.insecure),
    'Allows plain text on addresses that are not loopback; put a proxy with TLS before them, or set `[tls]`.',
    { flag: '--insecure' },
  ),
  tls: setting(
    z.optional(
      table({
        cert: setting(
          text(),
          'The certificate in PEM, followed by those between it and its CA. Paths are seen from this file.',
        ),
        key: setting(text(), 'Its key.'),
        client_ca: setting(
          z.optional(text()),
          'Clients of both ports, people too, must show a certificate that one of these has signed.',
          { default: 'they need none' },
        ),
      }),
    ),
    'TLS of both ports. The files are read again when they change.',
    { default: 'plain text' },
  ),
  leases: setting(z.prefault(leasesTable, {}), 'Who owns a job, and for how long.'),
  limits: setting(z.prefault(limitsTable, {}), 'How large things may be.'),
  artifacts: setting(z.prefault(artifactsTable, {}), 'Files and logs of jobs.'),
  caches: setting(z.prefault(cachesTable, {}), 'What `cache:` of jobs may take.'),
  retention: setting(z.prefault(retentionTable, {}), 'How long history is kept.'),
  s3: setting(z.optional(s3Table), 'Artifacts and caches in a bucket instead of the data folder.'),
  matching: setting(
    z.prefault(
      table({
        images: setting(
          z.prefault(trueOrFalse(), given.core.matchImages),
          'Jobs with `image` or `services` go only to runners whose executor has them; else any runner takes them, as with GitLab.',
        ),
      }),
      {},
    ),
    'Which runner may take a job, beside its tags.',
  ),
  stuck: setting(z.prefault(stuckTable, {}), 'When jobs count as stuck.'),
  tasks: setting(z.prefault(tasksTable, {}), 'When background tasks run.'),
  monitoring: setting(
    z.prefault(
      table({
        job_queuing_durations: setting(
          z.prefault(z.array(queueObjective, 'must be a list of tables'), []),
          'How long jobs may wait; the last one that is active decides.',
        ),
      }),
      {},
    ),
    'What is measured.',
  ),
  poll: setting(
    z.prefault(
      table({
        hold: setting(
          z.prefault(duration({ zero: true, most: 3_600_000 }), durationText(given.pollHoldMs)),
          'How long a poll is held that has nothing new to learn; `0s`: it is answered at once.',
        ),
        rate: setting(
          z.optional(z.number(rateMessage).check(z.minimum(0, rateMessage))),
          'Polls a second that one runner may send, 429 beyond; 0: no limit.',
          { default: '`10`' },
        ),
      }),
      {},
    ),
    "GitLab Runner's polls.",
  ),
  includes: setting(
    z.prefault(
      table({
        remote_hosts: setting(
          z.prefault(hosts(), []),
          'Whose files `include:remote` may name, over https: `HOST` or `HOST:PORT`.',
        ),
        templates_url: setting(
          z.optional(
            z
              .string(httpsMessage)
              .check(z.refine((url) => URL.canParse(url) && new URL(url).protocol === 'https:', httpsMessage)),
          ),
          'Where the files of `include:template` are, over https.',
          { default: 'off' },
        ),
      }),
      {},
    ),
    'What configurations may include from the web.',
  ),
  mirrors: setting(
    z.prefault(
      table({
        trusted_hosts: setting(z.prefault(hosts(), []), 'Hosts that may be private addresses and speak plain http.'),
        timeout: setting(z.optional(duration({ most: longestTimerMs })), 'For one fetch.', { default: '`10m`' }),
        pack_bytes: setting(z.optional(wholeNumber({ from: 1 })), 'Largest pack that one fetch may bring, in bytes.', {
          default: '`2147483648`',
        }),
      }),
      {},
    ),
    'Fetches of mirrored repositories.',
  ),
  webhooks: setting(
    z.prefault(
      table({
        trusted_hosts: setting(
          z.prefault(hosts(), []),
          'Hosts that are told whatever their address; others must have public ones.',
        ),
      }),
      {},
    ),
    'Webhooks that go out.',
  ),
  cell: setting(
    z.prefault(
      table({
        id: setting(
          z.optional(wholeNumber({ from: 1, to: 1_000_000 })),
          'The number of this coordinator among those behind one address.',
          { default: 'it is the only one' },
        ),
        isolate_runners: setting(
          z.prefault(trueOrFalse(), given.core.isolateRunners),
          "A project's runner may serve projects of one top-level group only.",
        ),
      }),
      {},
    ),
    'For several coordinators behind one address.',
  ),
  openid: setting(z.prefault(openIdTables, []), 'Providers of OpenID Connect that people can sign in by.'),
  plugins: setting(
    z.prefault(
      z.array(
        table({
          use: setting(
            z.string('must be a text').check(z.minLength(1, 'must be a text')),
            "A folder, beginning with `.` or `/` and seen from the file's own, or the name of a package.",
          ),
          config: setting(
            z.prefault(z.record(z.string(), z.unknown(), 'must be a table'), {}),
            'What the plugin is given.',
          ),
          env: setting(
            z.prefault(z.array(z.string('must be a text'), 'must be a list of names'), []),
            'Names of variables of the environment of the server that the process of the plugin gets. It gets no others.',
          ),
          memory_mb: setting(
            z.optional(wholeNumber({ from: 32, to: 65_536 })),
            'Memory that the process of the plugin may use, in MiB. One that uses more is ended, and started again.',
            { default: '256' },
          ),
          fail: setting(
            z.prefault(oneOf(['open', 'closed']), 'open'),
            'What an admission rule of the plugin means that gives no answer: `open` admits the job, `closed` holds it.',
          ),
          dry_run: setting(
            z.prefault(trueOrFalse(), false),
            'What admission rules of the plugin say is written down, and not followed.',
          ),
        }),
        'must be [[plugins]] tables',
      ),
      [],
    ),
    'Plugins, in their order.',
  ),
  classification: setting(
    z.prefault(
      table({
        order: setting(
          z.prefault(
            z.array(
              z.string('must be a text').check(z.regex(/^classifier\.[a-z0-9-]+$/, 'must be the id of a classifier')),
              'must be a list of ids of classifiers',
            ),
            [],
          ),
          'Classifiers that are asked first, by their ids: the built-in ones among themselves, then the configured ones.',
        ),
        threshold: setting(
          z.prefault(
            z.number(thresholdMessage).check(z.minimum(0, thresholdMessage), z.maximum(1, thresholdMessage)),
            given.classification.threshold,
          ),
          'A verdict that is less sure than this, from 0 to 1, gives way to the next.',
        ),
      }),
      {},
    ),
    'Who says why a job failed.',
  ),
}).check((ctx) => {
  const { http, grpc, insecure, tls } = ctx.value
  const refuseUnlessLoopback = (value: string, path: string[]) => {
    if (!insecure && tls === undefined && !isLoopback(value)) {
      refuse(ctx, `${value} is not a loopback address: plain text there needs --insecure`, path)
    }
  }
  refuseUnlessLoopback(http, ['http'])
  refuseUnlessLoopback(grpc.address, ['grpc', 'address'])
})

export type GivenSettings = z.infer<typeof settingsTable>
