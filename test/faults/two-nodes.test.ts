/** Two coordinators, each a process of its own, on one PostgreSQL: a pipeline of one runs on the runner of the other. */
import { expect, it } from 'vitest'
import { git } from '../git/support/git.js'
import { eventually } from '../support/eventually.js'
import { postgresPlace } from '../support/postgres-place.js'
import { Coordinator } from '../support/processes.js'

it.each(['websocket', 'poll'] as const)('runs a job of one node on a runner of the other (%s)', async (transport) => {
  const place = await postgresPlace()
  try {
    const flags = ['--database', place.url]
    await using a = await Coordinator.start({ flags })
    await using b = await Coordinator.start({ flags, sharing: a.dataDir })
    await b.runner(transport)
    await a.api('POST', '/api/v4/projects', { name: 'app' })
    const work = await a.repository('root/app', { '.gitlab-ci.yml': 'build: {script: cat .gitlab-ci.yml}\n' })
    await git(work, 'push', '--quiet', 'origin', 'main')
    const status = async () => (await a.api<{ status: string }[]>('GET', '/api/v4/projects/1/pipelines'))[0]?.status
    await eventually(async () => expect(await status()).toBe('success'))
    const [job] = await b.api<{ name: string; status: string }[]>('GET', '/api/v4/projects/1/jobs')
    expect(job).toMatchObject({ name: 'build', status: 'success' })
  } finally {
    await place.remove()
  }
})
