/** Answers that stay open end as soon as whoever reads them may not any more: nothing that comes later is shown. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openSession } from '../../src/core/steps/open-session.js'
import { ShimBox } from '../shim/support/box.js'
import { person } from '../shim/support/people.js'
import { type RunningJob, startJob } from '../shim/support/running-job.js'
import { startTestCore } from '../support/core.js'

let box: ShimBox
beforeAll(async () => {
  box = await new ShimBox(await startTestCore('sqlite'), {}).start()
})
afterAll(() => box[Symbol.asyncDispose]())

type Person = Awaited<ReturnType<typeof person>>
interface Scene {
  job: RunningJob
  reader: Person
  groupId: number
  headers: Record<string, string>
}

/** What is open, by who has `reader`’s level in the job's project. */
const answers: Record<string, (scene: Scene) => Promise<string>> = {
  'a followed log': async ({ job }) => `/jobs/${job.id}/log?follow=true`,
  'a followed pipeline': async ({ job }) => `/pipelines/${(await box.job(job.id)).pipeline_id}/events?changes=true`,
}

/** By which the reader loses its level, or its way in. */
const losses: Record<string, (scene: Scene) => Promise<unknown>> = {
  'is no member any more': ({ groupId, reader }) => box.admin('DELETE', `/groups/${groupId}/members/${reader.user.id}`),
  'is blocked': ({ reader }) => box.admin('POST', `/users/${reader.user.id}/block`),
  'revokes the token': ({ reader }) => box.send('DELETE', '/personal_access_tokens/self', { headers: reader.headers }),
  'is a member until yesterday': async ({ groupId, reader }) => {
    await box.core.core.store.write((tx) =>
      tx.db
        .updateTable('members')
        .set({ expires_at: 1 })
        .where('group_id', '=', groupId)
        .where('user_id', '=', reader.user.id)
        .execute(),
    )
    box.core.clock.advance(15_000)
  },
}

let count = 0

async function scene(): Promise<Scene> {
  const name = `place-${++count}`
  const group = await box.admin('POST', '/groups', { json: { name, path: name } })
  const reader = await person(box, `reader-${count}`)
  const json = { user_id: reader.user.id, access_level: 20 }
  expect((await box.admin('POST', `/groups/${group.body.id}/members`, { json })).status).toBe(201)
  const job = await startJob(box, { path: `${name}/app` })
  await job.patch('0-3', 'mine')
  return { job, reader, groupId: group.body.id, headers: reader.headers }
}

/** Opens the answer; `seen` is what has come, `end` when it is over, `has` when something is in it. */
async function open(path: string, headers: Record<string, string>) {
  const answer = await fetch(`${box.url}/api/signalbox/v1${path}`, { headers })
  expect(answer.status).toBe(200)
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
  const got = { text: '' }
  const next = async () => {
    const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }))
    got.text += value ?? ''
    return !done
  }
  return {
    got,
    async has(text: string) {
      while (!got.text.includes(text)) expect(await next(), `${text} in ${got.text}`).toBe(true)
    },
    async end() {
      while (await next());
    },
  }
}

const cells = Object.keys(answers).flatMap((what) => Object.keys(losses).map((why) => [what, why] as const))

it.each(cells)('%s ends when the reader %s', async (what, why) => {
  const here = await scene()
  const answer = await open(await answers[what]!(here), here.headers)
  await answer.has(what === 'a followed log' ? 'mine' : 'running')
  await losses[why]!(here)
  await answer.end()
  expect((await here.job.patch('4-9', 'secret')).status).toBe(202)
  await here.job.put({ state: 'success' })
  expect(answer.got.text).not.toMatch(/secret|success/)
})

it('ends with the session that has opened it', async () => {
  const here = await scene()
  const { token, session } = await box.core.core.store.write((tx) =>
    openSession(box.core.core, tx, {
      userId: here.reader.user.id,
      way: 'password',
      browser: { address: '', agent: '' },
    }),
  )
  const headers = { Cookie: `signalbox_session=${token}` }
  const answer = await open(await answers['a followed log']!(here), headers)
  await answer.has('mine')
  const out = { headers: { ...here.reader.headers } }
  expect((await box.send('DELETE', `/api/signalbox/v1/sessions/${session.id}`, out)).status).toBe(204)
  await answer.end()
})

it('ends with a password that is set, where it is not the session that has set it', async () => {
  const here = await scene()
  const { id } = here.reader.user
  const browser = { address: '', agent: '' }
  const { token } = await box.core.core.store.write((tx) =>
    openSession(box.core.core, tx, { userId: id, way: 'password', browser }),
  )
  const answer = await open(await answers['a followed log']!(here), { Cookie: `signalbox_session=${token}` })
  await answer.has('mine')
  await box.admin('PUT', `/users/${id}`, { json: { password: 'a long password' } })
  await answer.end()
  const { body } = await box.admin('GET', `/api/signalbox/v1/audit?kind=session.ended&limit=1`)
  expect(body).toMatchObject([{ user: { username: 'root' }, data: { user: id } }])
})

it('goes on when others lose something', async () => {
  const [here, other] = [await scene(), await scene()]
  const answer = await open(await answers['a followed log']!(here), here.headers)
  await answer.has('mine')
  for (const lose of Object.values(losses)) await lose(other)
  await here.job.patch('4-9', 'and on')
  await answer.has('and on')
})

it('shows nothing that a debugging shell prints to who may not see it, from its first byte on', async () => {
  const here = await scene()
  const answer = await open(await answers['a followed log']!(here), here.headers)
  await answer.has('mine')
  const sent = { headers: { 'Content-Type': 'text/plain', 'JOB-TOKEN': here.job.token, 'Content-Range': '4-9' } }
  const path = `/jobs/${here.job.id}/trace?debug_trace=true`
  expect((await box.send('PATCH', path, { ...sent, body: 'secret' })).status).toBe(202)
  await answer.end()
  expect(answer.got.text).toBe('mine')
})
