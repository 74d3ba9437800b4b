import { existsSync } from 'node:fs'
import { utimes } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { expect, it } from 'vitest'
import { removeOrphans } from '../../../src/core/operations/remove-orphans.js'
import { storeArtifact } from '../../../src/core/operations/store-artifact.js'
import { startTestCore } from '../../support/core.js'
import { onBothEngines } from '../../support/stores.js'

onBothEngines((engine) => {
  it('takes away what no row names, and leaves what may still get one', async () => {
    await using box = await startTestCore(engine)
    const { core } = box
    await box.run({ a: { script: 'x' } })
    const { offer } = await (await box.runner()).request({ door: 'rest' })
    const kept = await storeArtifact(core, {
      ...{ jobId: offer!.jobId, fence: offer!.fence, filename: 'a.zip' },
      about: () => ({ type: undefined, format: undefined, expireIn: undefined }),
      body: Readable.from([Buffer.from('kept')]),
    })
    const store = (text: string) => core.artifacts.store(Readable.from([Buffer.from(text)]), 100)
    const [old, fresh, cache] = [
      await store('old'),
      await store('fresh'),
      await core.caches.store(Readable.from([Buffer.from('cache')]), 100),
    ]
    const fileOf = (room: string, { location }: { location: string }) => path.join(box.folder, room, location)
    const anHourAgo = new Date(Date.now() - 3_700_000)
    const aged = [fileOf('artifacts', kept), fileOf('artifacts', old), fileOf('caches', cache)]
    for (const file of aged) await utimes(file, anHourAgo, anHourAgo)
    expect(await removeOrphans(core)).toEqual({ artifacts: 1, caches: 1 })
    expect(aged.map((file) => existsSync(file))).toEqual([true, false, false])
    expect(existsSync(fileOf('artifacts', fresh))).toBe(true)
    expect(await removeOrphans(core)).toEqual({ artifacts: 0, caches: 0 })
  })
})
