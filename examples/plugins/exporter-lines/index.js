import { open } from 'node:fs/promises'
import { definePlugin, schema } from 'signalbox/plugin'

export default definePlugin({
  id: 'exporter.lines',
  apiVersion: 1,
  config: schema.table({ file: schema.text({ hint: 'the path of a file' }) }),
  async setup(host, config) {
    // Each write waits for the disk: Node 24 refuses `datasync` to processes without all rights.
    const file = await open(config.file, 'as+')
    let lastId = await cutToLastLine(file)

    /** @param {import('signalbox/plugin').ExportedEvent[]} events */
    const append = async (events) => {
      // Events may come again; those that the file has are left out.
      const fresh = events.filter((event) => event.id > lastId)
      if (fresh.length === 0) return
      const { size } = await file.stat()
      try {
        await file.appendFile(fresh.map((event) => `${JSON.stringify(event)}\n`).join(''))
      } catch (error) {
        await file.truncate(size)
        throw error
      }
      lastId = fresh.at(-1)?.id ?? lastId
      host.metrics.count('events', {}, fresh.length)
    }

    // A batch that was late comes again while the first may still be under way: one after the other.
    let last = Promise.resolve()
    host.export('lines', {
      onEvents(events) {
        last = last.catch(() => undefined).then(() => append(events))
        return last
      },
    })
    return { close: () => file.close() }
  },
})

const tailBytes = 1024 * 1024

/**
 * Cuts off a line that a crash has left half written, and gives the id of the last whole one; 0 if there is none.
 *
 * @param {import('node:fs/promises').FileHandle} file
 */
async function cutToLastLine(file) {
  const { size } = await file.stat()
  const start = Math.max(0, size - tailBytes)
  const { buffer } = await file.read(Buffer.alloc(size - start), 0, size - start, start)
  const end = buffer.lastIndexOf('\n') + 1
  if (end < buffer.length) await file.truncate(start + end)
  const lastLine = buffer.toString('utf8', buffer.lastIndexOf('\n', end - 2) + 1, end)
  return lastLine === '' ? 0 : Number(JSON.parse(lastLine).id)
}
