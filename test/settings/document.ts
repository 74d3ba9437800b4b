/** The JSON Schemas of `signalbox.toml` and `signalbox-runner.toml`, for editors and for the pages of settings. */
import * as z from 'zod/mini'
import { settingNotes } from '../../src/config/kinds.js'
import { runnerFileTable } from '../../src/config/runner-file.js'
import { settingsTable } from '../../src/config/table.js'

/** Returns it for what is written: durations are texts, and what has a default may be left out. */
export function settingsSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(settingsTable, { io: 'input', metadata: settingNotes })
  const { properties } = schema as { properties: Record<string, object> }
  const { description, default: _, ...table } = properties.grpc as { description?: string; default?: unknown }
  properties.grpc = { description, anyOf: [{ type: 'string' }, table] }
  return { $schema, title: 'signalbox.toml', ...schema }
}

/** The same for the file of a host's runners. */
export function runnerFileSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(runnerFileTable, { io: 'input', metadata: settingNotes })
  return { $schema, title: 'signalbox-runner.toml', ...schema }
}
