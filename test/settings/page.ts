/** docs/settings.md and docs/runner-settings.md, from the schemas of the settings. */

export interface SettingSchema {
  description?: string
  type?: string
  const?: unknown
  enum?: string[]
  minimum?: number
  maximum?: number
  default?: unknown
  properties?: Record<string, SettingSchema>
  items?: SettingSchema
  anyOf?: SettingSchema[]
  required?: string[]
  'x-kind'?: string
  'x-default'?: string
  'x-flag'?: string
  'x-environment'?: string
}

/** What stands above the settings of the coordinator. */
export const settingsHead = `# Settings

Made by \`npm run kept\` from \`src/config/table.ts\`. \`signalbox serve --schema\` prints the same as a JSON Schema for editors
(docs/signalbox.schema.json). A flag beats the environment, which beats \`signalbox.toml\` (in the current folder, or
\`--config FILE\`), which beats the default. An unknown key is an error.
`

/** What stands above the settings of a host's runners. */
export const runnerSettingsHead = `# Settings of runners

Made by \`npm run kept\` from \`src/config/runner-file.ts\`: what \`signalbox-runner.toml\` may hold, the file of
\`signalbox runner start --config FILE\` ([Runners](runners.md)). docs/signalbox-runner.schema.json is the same for editors. Paths
are seen from the file. An unknown key is an error.
`

/** Returns the page below `head`: what stands at the top of the file first, then a section for each table. */
export function settingsPage(head: string, schema: SettingSchema): string {
  const all = Object.entries(schema.properties!).map(([key, given]) => ({ key, given, inner: tableIn(given) }))
  const top = all.filter(({ inner }) => inner === undefined)
  const sections = all.flatMap(({ key, given, inner }) => (inner ? sectionsOf(key, given, inner) : []))
  return [head, rowsOf(Object.fromEntries(top.map(({ key, given }) => [key, given]))), ...sections].join('\n')
}

function sectionsOf(key: string, given: SettingSchema, table: SettingSchema): string[] {
  const mark = given.items ? `[[${key}]]` : `[${key}]`
  const inner = Object.entries(table.properties!).filter(([, one]) => one.items?.properties)
  const own = Object.entries(table.properties!).filter(([, one]) => !one.items?.properties)
  return [
    `## \`${mark}\`\n\n${given.description}\n`,
    ...(own.length === 0 ? [] : [rowsOf(Object.fromEntries(own))]),
    ...inner.flatMap(([name, one]) => sectionsOf(`${key}.${name}`, one, one.items!)),
  ]
}

/** A table with keys that are known, alone or in a list. */
function tableIn(given: SettingSchema): SettingSchema | undefined {
  return [given, given.items, ...(given.anyOf ?? [])].find((one) => one?.properties !== undefined)
}

function rowsOf(keys: Record<string, SettingSchema>): string {
  const outside = Object.values(keys).some((one) => one['x-flag'] ?? one['x-environment'])
  const titles = ['Key', ...(outside ? ['Flag', 'Environment'] : []), 'Value', 'Default', 'What it is']
  const rows = Object.entries(keys).map(([key, one]) => [
    code(key),
    ...(outside ? [code(one['x-flag']), code(one['x-environment'])] : []),
    kindOf(one),
    defaultOf(one),
    one.description!,
  ])
  return `${[titles, titles.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')}\n`
}

const code = (given: string | undefined) => (given === undefined ? '–' : `\`${given}\``)

function defaultOf(given: SettingSchema): string {
  if (given['x-default'] !== undefined) return given['x-default']
  return given.default === undefined || given.default === ''
    ? '–'
    : code(JSON.stringify(given.default).replace(/^"(.*)"$/, '$1'))
}

function kindOf({ enum: values, items, minimum, maximum, type, 'x-kind': kind }: SettingSchema): string {
  if (values) return values.map(code).join(', ')
  if (items) return 'list'
  if (kind !== undefined) return kind
  if (minimum === undefined) return type === 'string' ? 'text' : type === 'object' ? 'table' : type!
  const most = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? 'or more' : `to ${maximum}`
  return `${type === 'integer' ? 'whole number' : 'number'}, ${minimum} ${most}`
}
