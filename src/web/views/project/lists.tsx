/** The lists of a project's settings, as data. Fields are those of GitLab's API: https://docs.gitlab.com/api/api_resources/ */
import { Action } from '../../parts/action.js'
import { Command, When } from '../../parts/bits.js'
import type { Field } from '../../parts/form.js'
import type { List, Row } from '../../parts/listing.js'
import { Status } from '../../parts/status.js'
import { hrefs } from '../../places.js'

/** https://docs.gitlab.com/api/access_requests/#valid-access-levels */
export const levels = [
  [10, 'Guest'],
  [20, 'Reporter'],
  [30, 'Developer'],
  [40, 'Maintainer'],
  [50, 'Owner'],
] as const

const levelOf = (level: number) => levels.find(([of]) => of === level)?.[1] ?? (level === 0 ? 'Nobody' : String(level))
const pushLevels: readonly (readonly [number, string])[] = [
  [40, 'Maintainers'],
  [30, 'Developers'],
  [0, 'Nobody'],
]
const yes = (row: Row, names: readonly (readonly [key: string, word: string])[]) =>
  names
    .filter(([key]) => row[key])
    .map(([key, word]) => (
      <span key={key} class="tag">
        {word}
      </span>
    ))

/** What to show once and never again. */
const once = (what: string, token: string) => (
  <>
    <h3>{what} is shown now and never again</h3>
    <Command>{token}</Command>
  </>
)

const variableFields: readonly Field[] = [
  { name: 'value', label: 'Value', kind: 'area', required: true },
  {
    name: 'variable_type',
    label: 'Type',
    options: [
      ['env_var', 'variable'],
      ['file', 'file: the variable holds its path'],
    ],
  },
  { name: 'environment_scope', label: 'Environments', value: '*', hint: '* is all, review/* those that begin so' },
  { name: 'description', label: 'Description' },
  { name: 'protected', label: 'Only for protected branches and tags', kind: 'check' },
  { name: 'masked', label: 'Masked in logs', kind: 'check' },
  { name: 'raw', label: 'Taken as it is: $ means nothing in it', kind: 'check' },
]

/** The lists of settings by the names that they have in addresses. */
export function settingsLists(base: string, ref: string): Readonly<Record<string, List>> {
  return {
    variables: {
      title: 'Variables',
      about: 'Given to jobs. Values are encrypted at rest, and masked ones are starred out in logs.',
      path: `${base}/variables`,
      columns: [
        ['Name', (row) => <span class="code">{row.key}</span>],
        ['Value', (row) => <Secret value={row.hidden ? null : row.value} />],
        ['Environments', (row) => <span class="code">{row.environment_scope}</span>],
        [
          'Rules',
          (row) =>
            yes(row, [
              ['protected', 'protected'],
              ['masked', 'masked'],
              ['raw', 'as it is'],
            ]),
        ],
        ['About', (row) => row.description],
      ],
      nameOf: (row) => row.key,
      keyOf: (row) => row.key,
      add: 'Add a variable',
      fields: [{ name: 'key', label: 'Name', required: true }, ...variableFields],
      edits: variableFields,
      empty: <Command>{`signalbox variable set NAME=value`}</Command>,
    },
    members: {
      title: 'Members',
      about: 'Who may see and do what. Members of the groups above are members here as well.',
      path: `${base}/members`,
      columns: [
        ['User name', (row) => row.username],
        ['Name', (row) => row.name],
        ['Role', (row) => levelOf(row.access_level)],
        ['Until', (row) => row.expires_at ?? ''],
      ],
      nameOf: (row) => row.username,
      add: 'Add a member',
      fields: [
        { name: 'username', label: 'User name', required: true },
        { name: 'access_level', label: 'Role', options: levels, value: 30 },
        { name: 'expires_at', label: 'Until', kind: 'date' },
      ],
      edits: [
        { name: 'access_level', label: 'Role', options: levels },
        { name: 'expires_at', label: 'Until', kind: 'date' },
      ],
      empty: <p>Only administrators and members of the groups above see the project.</p>,
    },
    protected_branches: {
      title: 'Protected branches',
      about: 'Who may push to them and run pipelines on them. Protected variables and runners are for these alone.',
      path: `${base}/protected_branches`,
      columns: [
        ['Branch', (row) => <span class="code">{row.name}</span>],
        ['Push', (row) => row.push_access_levels?.map((one: Row) => levelOf(one.access_level)).join(', ')],
        ['Merge', (row) => row.merge_access_levels?.map((one: Row) => levelOf(one.access_level)).join(', ')],
      ],
      nameOf: (row) => row.name,
      keyOf: (row) => row.name,
      add: 'Protect a branch',
      fields: [
        { name: 'name', label: 'Branch', required: true, hint: 'release/* is all that begin so' },
        { name: 'push_access_level', label: 'Push', options: pushLevels, value: 40 },
        { name: 'merge_access_level', label: 'Merge', options: pushLevels, value: 40 },
      ],
      empty: <p>Whoever may push may push to every branch.</p>,
    },
    protected_tags: {
      title: 'Protected tags',
      about: 'Who may make them.',
      path: `${base}/protected_tags`,
      columns: [
        ['Tag', (row) => <span class="code">{row.name}</span>],
        ['Make', (row) => row.create_access_levels?.map((one: Row) => levelOf(one.access_level)).join(', ')],
      ],
      nameOf: (row) => row.name,
      keyOf: (row) => row.name,
      add: 'Protect tags',
      fields: [
        { name: 'name', label: 'Tag', required: true, hint: 'v* is all that begin so' },
        { name: 'create_access_level', label: 'Make', options: pushLevels, value: 40 },
      ],
      empty: <p>Whoever may push may make every tag.</p>,
    },
    triggers: {
      title: 'Triggers',
      about: 'Tokens by which something outside starts pipelines.',
      path: `${base}/triggers`,
      columns: [
        ['About', (row) => row.description],
        ['Token', (row) => <span class="code">{row.token}</span>],
        ['Owner', (row) => row.owner?.username],
        ['Used', (row) => <When time={row.last_used} absent="never" />],
      ],
      nameOf: (row) => row.description,
      add: 'Make a trigger',
      fields: [{ name: 'description', label: 'What it is for', required: true }],
      made: (row) => (
        <>
          <h3>Start a pipeline by</h3>
          <Command>{`curl -X POST -F token=${row.token} -F ref=${ref} ${location.origin}${base}/trigger/pipeline`}</Command>
        </>
      ),
      empty: <p>Make one, and the command that uses it is shown.</p>,
    },
    tokens: {
      title: 'Access tokens',
      about: 'For scripts: each is a member of the project of its own.',
      path: `${base}/access_tokens`,
      query: '&state=active',
      columns: [
        ['Name', (row) => row.name],
        ['Scopes', (row) => row.scopes?.join(', ')],
        ['Role', (row) => levelOf(row.access_level)],
        ['Until', (row) => row.expires_at ?? 'for ever'],
        ['Used', (row) => <When time={row.last_used_at} absent="never" />],
      ],
      nameOf: (row) => row.name,
      add: 'Make a token',
      fields: [
        { name: 'name', label: 'Name', required: true },
        {
          name: 'scope',
          label: 'Scope',
          options: [
            ['api', 'api: everything'],
            ['read_api', 'read_api: read'],
            ['write_repository', 'write_repository: push'],
            ['read_repository', 'read_repository: pull'],
          ],
        },
        { name: 'access_level', label: 'Role', options: levels, value: 30 },
        { name: 'expires_at', label: 'Until', kind: 'date' },
      ],
      toBody: ({ scope, ...values }) => ({ ...values, scopes: [scope] }),
      made: (row) => once('The token', row.token),
      empty: <Command>{'signalbox token create'}</Command>,
    },
    hooks: {
      title: 'Webhooks',
      about: 'Told of jobs and pipelines as they change.',
      path: `${base}/hooks`,
      columns: [
        ['Address', (row) => <span class="code">{row.url}</span>],
        [
          'Told of',
          (row) =>
            yes(row, [
              ['job_events', 'jobs'],
              ['pipeline_events', 'pipelines'],
            ]),
        ],
        ['State', (row) => (row.alert_status === 'executable' ? '' : row.alert_status)],
      ],
      nameOf: (row) => row.url,
      add: 'Add a webhook',
      fields: [
        { name: 'url', label: 'Address', required: true },
        { name: 'token', label: 'Secret', kind: 'password', hint: 'sent along as X-Gitlab-Token' },
        { name: 'pipeline_events', label: 'Pipelines', kind: 'check', value: true },
        { name: 'job_events', label: 'Jobs', kind: 'check' },
      ],
      empty: <p>Nobody is told.</p>,
    },
  }
}

/** The schedules of a project. */
export const schedulesList = (base: string, path: string, ref: string): List => ({
  title: 'Schedules',
  about: 'Pipelines that are made at certain times.',
  path: `${base}/pipeline_schedules`,
  columns: [
    ['What', (row) => row.description],
    [
      'Branch or tag',
      (row) => (
        <a class="ref" href={`${hrefs.project(path)}?ref=${encodeURIComponent(row.ref)}`}>
          {row.ref}
        </a>
      ),
    ],
    ['When', (row) => <span class="code">{`${row.cron} ${row.cron_timezone}`}</span>],
    ['Next', (row) => (row.active ? <When time={row.next_run_at} /> : <span class="tag">paused</span>)],
    ['Owner', (row) => row.owner?.username],
  ],
  nameOf: (row) => row.description,
  add: 'Add a schedule',
  fields: scheduleFields(ref),
  edits: scheduleFields(ref),
  actions: (row, reload) => (
    <Action
      label="Run now"
      name={`Run now: ${row.description}`}
      path={`${base}/pipeline_schedules/${row.id}/play`}
      onDone={reload}
    />
  ),
  empty: <p>Such as: each night at four, 0 4 * * *.</p>,
})

function scheduleFields(ref: string): Field[] {
  return [
    { name: 'description', label: 'What it is for', required: true },
    { name: 'ref', label: 'Branch or tag', required: true, value: ref },
    { name: 'cron', label: 'When', required: true, value: '0 4 * * *', hint: 'minute hour day month weekday' },
    { name: 'cron_timezone', label: 'Time zone', value: 'UTC' },
    { name: 'active', label: 'Active', kind: 'check', value: true },
  ]
}

/** The environments of a project. */
export const environmentsList = (base: string): List => ({
  title: 'Environments',
  about: 'Where jobs have deployed to.',
  path: `${base}/environments`,
  columns: [
    ['Name', (row) => row.name],
    ['State', (row) => row.state],
    ['Tier', (row) => row.tier],
    ['Address', (row) => <Outside url={row.external_url} />],
    ['Stops by itself', (row) => <When time={row.auto_stop_at} absent="" />],
  ],
  nameOf: (row) => row.name,
  add: 'Add an environment',
  fields: [
    { name: 'name', label: 'Name', required: true },
    { name: 'external_url', label: 'Address' },
  ],
  actions: (row, reload) =>
    row.state === 'available' ? (
      <Action
        label="Stop"
        name={`Stop ${row.name}`}
        path={`${base}/environments/${row.id}/stop`}
        kind="danger"
        sure
        onDone={reload}
      />
    ) : null,
  empty: <p>A job with environment: makes one when it runs.</p>,
  changes: (change) => /deployment|environment|job\.(started|finished)/.test(change.kind),
})

/** What was deployed to them, the newest first. */
export const deploymentsList = (base: string, path: string): List => ({
  title: 'Deployments',
  about: 'The newest first.',
  path: `${base}/deployments`,
  query: '&sort=desc',
  columns: [
    ['Status', (row) => <Status status={row.status} />],
    ['Environment', (row) => row.environment?.name],
    ['Branch or tag', (row) => <span class="ref">{row.ref}</span>],
    [
      'Commit',
      (row) => (
        <a class="code" href={`${hrefs.project(path)}/-/commit/${row.sha}`}>
          {row.sha.slice(0, 8)}
        </a>
      ),
    ],
    ['Job', (row) => (row.deployable ? <a href={hrefs.job(path, row.deployable.id)}>{row.deployable.name}</a> : '')],
    ['By', (row) => row.user?.username],
    ['When', (row) => <When time={row.updated_at} />],
  ],
  nameOf: (row) => `#${row.iid}`,
  fixed: true,
  empty: <p>Nothing has been deployed yet.</p>,
  changes: (change) => /deployment|job\.(started|finished)/.test(change.kind),
})

/** Merge requests of a project. */
export const requestsList = (base: string, path: string): List => ({
  title: 'Merge requests',
  about: 'Branches that are to be merged, with pipelines of their own.',
  path: `${base}/merge_requests`,
  columns: [
    [
      'Request',
      (row) => <a href={`${hrefs.project(path)}/-/merge_requests/${row.iid}`}>{`!${row.iid} ${row.title}`}</a>,
    ],
    ['State', (row) => row.state],
    ['From', (row) => <span class="ref">{row.source_branch}</span>],
    ['Into', (row) => <span class="ref">{row.target_branch}</span>],
    ['By', (row) => row.author?.username],
    ['Made', (row) => <When time={row.created_at} />],
  ],
  nameOf: (row) => `!${row.iid}`,
  fixed: true,
  add: 'Make a merge request',
  fields: [
    { name: 'title', label: 'Title', required: true },
    { name: 'source_branch', label: 'From', required: true },
    { name: 'target_branch', label: 'Into', required: true },
  ],
  empty: <p>A branch is merged by one.</p>,
})

/** A link to somewhere else, if it is one that a browser may follow. */
function Outside({ url }: { url: string | null }) {
  if (!url) return null
  if (!/^https?:\/\//i.test(url)) return <span class="code">{url}</span>
  return (
    <a href={url} target="_blank" rel="noopener noreferrer nofollow">
      {url}
    </a>
  )
}

/** Not for everybody who looks over a shoulder. */
function Secret({ value }: { value: string | null }) {
  if (value === null) return <span class="dim">hidden for good</span>
  return (
    <details class="secret">
      <summary>Show</summary>
      <span class="code">{value}</span>
    </details>
  )
}
