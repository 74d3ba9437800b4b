/** The JSON lines exporter: a file of committed events, one a line, that others read on or rotate away. */
import { open } from 'node:fs/promises'
import { definePlugin, type ExportedEvent, schema } from '../../sdk.js'

const newline = 0x0a

export default definePlugin({
  id: 'exporter.jsonl',
  apiVersion: 1,
  config: schema.optional(schema.table({ file: schema.text({ pattern: /^\//, hint: 'the whole path of a file' }) })),
  async setup(host, config) {
    if (!config) return undefined
    // Says at the start what would fail later.
    await append(config.file, '')
    host.export('jsonl', {
      onEvents: (events: ExportedEvent[]) =>
        append(config.file, events.map((event) => `${JSON.stringify(event)}\n`).join('')),
    })
    return undefined
  },
})

/** Opened for each batch, so that a file that was renamed is made anew. Resolves when the lines are on disk. */
async function append(file: string, text: string): Promise<void> {
  const handle = await open(file, 'a+', 0o600)
  try {
    const { size } = await handle.stat()
    const end = size === 0 ? undefined : (await handle.read(Buffer.alloc(1), 0, 1, size - 1)).buffer[0]
    // A line that a crash has cut off stays one of its own.
    const begin = end === undefined || end === newline || text === '' ? '' : '\n'
    if (text !== '') await handle.appendFile(begin + text)
    await handle.datasync()
  } finally {
    await handle.close()
  }
}
