/** The coordinator is killed in the very moment in which git moves a branch: the branch has its pipeline all the same, once. */
import { existsSync, mkdirSync, watch } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { isLong } from '../support/long.js'
import { postgresPlace } from '../support/postgres-place.js'
import { Coordinator, git } from '../support/processes.js'
import { onBothEngines } from '../support/stores.js'

const kills = isLong ? 40 : 3
const config = JSON.stringify({ test: { script: 'true' } })

onBothEngines((engine) => {
  it('makes one pipeline for each branch that a push has moved before the kill', async () => {
    const place = engine === 'postgres' ? await postgresPlace() : undefined
    {
      await using box = await Coordinator.start({ flags: place ? ['--database', place.url] : [] })
      const folder = await box.repository('team/app', { '.gitlab-ci.yml': config })
      await git(folder, 'push', '--quiet', 'origin', 'main')
      const heads = path.join(box.dataDir, 'repositories', '1.git', 'refs', 'heads')
      for (let i = 0; i < kills; i++) {
        const branch = `b${i}`
        await git(folder, 'commit', '--quiet', '--allow-empty', '--message', branch)
        mkdirSync(heads, { recursive: true })
        const moved = new Promise<void>((resolve) => {
          const watcher = watch(heads, () => {
            if (!existsSync(path.join(heads, branch))) return
            watcher.close()
            resolve()
          })
        })
        const pushed = git(folder, 'push', '--quiet', 'origin', `HEAD:refs/heads/${branch}`).catch(() => undefined)
        await moved
        // Somewhat later each time: before the answer of git is read, while the pipeline is made, and after it.
        for (let turn = 0; turn < i * 3; turn++) await new Promise((resolve) => setImmediate(resolve))
        await box.kill()
        await pushed
        await box.up()
      }
      await box.signalbox('task', 'run', 'follow_pushes')
      const pipelines = await box.api<{ ref: string }[]>('GET', '/api/v4/projects/1/pipelines?per_page=100')
      const expected = ['main', ...Array.from({ length: kills }, (_, i) => `b${i}`)]
      expect(pipelines.map(({ ref }) => ref).sort()).toEqual(expected.sort())
    }
    await place?.remove()
  }, 300_000)
})
