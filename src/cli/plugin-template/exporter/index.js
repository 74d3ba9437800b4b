import { appendFile } from 'node:fs/promises'
import { definePlugin, schema } from 'signalbox/plugin'

export default definePlugin({
  id: 'exporter.NAME',
  apiVersion: 1,
  config: schema.table({
    /** Where lines go; a place in the plugin's own folder needs no permission. */
    file: schema.text({ default: 'failed.txt' }),
  }),
  setup(host, { file }) {
    // Events may come again, after a crash: ids only grow.
    let last = 0
    host.export('NAME', {
      async onEvents(events) {
        const fresh = events.filter(({ id }) => id > last)
        const failed = fresh.filter(({ kind, data }) => kind === 'pipeline.changed' && data.to === 'failed')
        // A batch that throws comes again, later.
        if (failed.length > 0)
          await appendFile(file, failed.map((one) => `pipeline ${one.pipelineId} failed\n`).join(''))
        last = fresh.at(-1)?.id ?? last
        host.metrics.count('failures', {}, failed.length)
      },
    })
  },
})
