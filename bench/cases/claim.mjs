// What match and claim cost inside the transaction when 1,000, 100,000 or 1,000,000 jobs wait in 200 projects with 50 sets of
// tags, for an instance runner that has eight of the tags and for a project runner.
import { child, inFolder, runs, scaled, summary } from '../lib.mjs'

const depths = process.env.DEPTHS?.split(',').map(Number) ?? scaled([1000, 100_000, 1_000_000], [100, 1000])

export async function* measure() {
  const results = new Map()
  for (const depth of depths) {
    const { instance, project } = await inFolder(async (dir) => {
      const box = child('product/queue.mjs')
      await box.ask('fill', { dir, depth, projects: 200, tagSets: 50 })
      const values = { instance: [], project: [] }
      for (let i = 0; i < runs + 1; i++) {
        for (const type of ['instance', 'project']) {
          const value = await box.ask('claim', { type, count: depth > 1000 ? 100 : 15 })
          if (i > 0) values[type].push(value)
        }
      }
      await box.stop()
      return { instance: summary(values.instance), project: summary(values.project) }
    })
    for (const [type, ours] of Object.entries({ instance, project })) {
      const first = results.get(type)
      if (!first) results.set(type, ours)
      yield {
        figure: `match + claim, ${depth.toLocaleString('en')} pending, ${type} runner, p50`,
        unit: 'µs',
        ours,
        ...(first ? { floor: first, against: `with ${depths[0].toLocaleString('en')}`, bar: 1.5, stretch: 1.2 } : {}),
      }
    }
  }
}
