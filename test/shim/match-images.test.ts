/** `[matching] images`: jobs that need containers go to runners that have them, and the answer to "why" says so. */
import { expect, it } from 'vitest'
import { onePhaseInfo, type ShimBox, startShimBox } from './support/box.js'

const config = {
  plain: { script: 'true' },
  inside: { script: 'true', image: 'alpine' },
  beside: { script: 'true', services: ['postgres:16'] },
}

const names = async (box: ShimBox, token: string, more: Record<string, boolean>) => {
  const found: string[] = []
  for (;;) {
    const features = { ...onePhaseInfo.features, ...more }
    const { status, body } = await box.poll(token, { info: { ...onePhaseInfo, features } })
    if (status !== 201) return found.toSorted()
    found.push(body.job_info.name)
  }
}

it('gives jobs with an image or services to runners that have them', async () => {
  await using box = await startShimBox('sqlite', { holdMs: 0 }, { matchImages: true })
  const { pipeline } = await box.run(config)
  const shell = await box.runnerToken()
  expect(await names(box, shell, {})).toEqual(['plain'])
  const jobs = await box.admin('GET', `/projects/${pipeline.projectId}/pipelines/${pipeline.id}/jobs`)
  const { id } = jobs.body.find((one: { name: string }) => one.name === 'inside')
  expect((await box.admin('GET', `/api/signalbox/v1/jobs/${id}/why`)).text).toContain('lacks features image')
  expect(await names(box, await box.runnerToken(), { image: true })).toEqual(['inside'])
  expect(await names(box, await box.runnerToken(), { image: true, services: true })).toEqual(['beside'])
})

it('gives them to any runner where nobody has said so, as GitLab does', async () => {
  await using box = await startShimBox('sqlite', { holdMs: 0 })
  await box.run(config)
  expect(await names(box, await box.runnerToken(), {})).toEqual(['beside', 'inside', 'plain'])
})
