/** A push by git, and what one job hands to the next, where the runner asks for its jobs and is sent nothing. */
import { expect, it, vi } from 'vitest'
import { eventually } from '../support/eventually.js'
import { Coordinator, git } from '../support/processes.js'

vi.setConfig({ testTimeout: 60_000 })

const configuration = {
  stages: ['build', 'deploy'],
  compile: {
    stage: 'build',
    script: [
      'mkdir out',
      'echo "made of $CI_COMMIT_SHORT_SHA" > out/app.txt',
      'echo "RELEASE=v1.$CI_PIPELINE_IID" > out/.env',
    ],
    artifacts: { paths: ['out/app.txt'], reports: { dotenv: 'out/.env' } },
  },
  ship: {
    stage: 'deploy',
    needs: ['compile'],
    script: ['echo "shipping $RELEASE, $(cat out/app.txt)"', 'test ! -e out/.env', 'test -e .gitlab-ci.yml'],
  },
  other: {
    stage: 'deploy',
    needs: [{ job: 'compile', artifacts: false }],
    script: ['echo "without [$RELEASE]"', 'test ! -e out'],
  },
}

it('hands artifacts and the variables of a dotenv report to the jobs that want them', async () => {
  await using box = await Coordinator.start()
  await box.runner('poll')
  const folder = await box.repository('team/app', { '.gitlab-ci.yml': JSON.stringify(configuration) })
  await git(folder, 'push', '--quiet', 'origin', 'main')
  const api = '/api/v4/projects/team%2Fapp'
  const jobs = await eventually(async () => {
    const all = await box.api<{ id: number; name: string; status: string }[]>('GET', `${api}/pipelines/1/jobs`)
    expect(all.map(({ status }) => status)).toEqual(['success', 'success', 'success'])
    return new Map(all.map(({ name, id }) => [name, id]))
  })
  const log = async (name: string) => {
    const headers = { 'PRIVATE-TOKEN': box.token }
    return (await fetch(`${box.url}${api}/jobs/${jobs.get(name)}/trace`, { headers })).text()
  }
  const sha = (await git(folder, 'rev-parse', 'HEAD')).slice(0, 8)
  expect(await log('ship')).toContain(`shipping v1.1, made of ${sha}`)
  expect(await log('other')).toContain('without []')
  const { artifacts } = await box.api<{ artifacts: { file_type: string }[] }>(
    'GET',
    `${api}/jobs/${jobs.get('compile')}`,
  )
  expect(artifacts.map(({ file_type }) => file_type).sort()).toEqual(['archive', 'dotenv'])
})
