/** The same thing made twice at once: one gets it, the other is told that it is taken, and nobody that the server has failed. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { onBothEngines } from '../support/stores.js'
import { type ShimBox, startShimBox } from './support/box.js'
import { person } from './support/people.js'

onBothEngines((engine) => {
  let box: ShimBox
  let group: { id: number }
  beforeAll(async () => {
    box = await startShimBox(engine)
    group = (await box.admin('POST', '/groups', { json: { name: 'team', path: `team-${engine}` } })).body
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const asked: [what: string, ask: (i: number) => Promise<[path: string, json: object]>][] = [
    ['project', async (i) => ['/projects', { name: `app-${i}`, namespace_id: group.id }]],
    ['project in a namespace that is made with it', async (i) => ['/projects', { path: `new-${engine}-${i}/app` }]],
    ['group', async (i) => ['/groups', { name: 'g', path: `group-${engine}-${i}` }]],
    ['user', async (i) => ['/users', { username: `user-${engine}-${i}`, name: 'u', email: 'u@example.com' }]],
    [
      'member',
      async (i) => {
        const { user } = await person(box, `member-${engine}-${i}`)
        return [`/groups/${group.id}/members`, { user_id: user.id, access_level: 30 }]
      },
    ],
    ['protected branch', async (i) => [`/projects/${await madeProject(i)}/protected_branches`, { name: 'b*' }]],
    ['variable', async (i) => [`/projects/${await madeProject(100 + i)}/variables`, { key: 'KEY', value: 'x' }]],
    ['environment', async (i) => [`/projects/${await madeProject(200 + i)}/environments`, { name: 'prod' }]],
  ]
  const madeProject = async (i: number) =>
    (await box.admin('POST', '/projects', { json: { name: `p-${i}`, namespace_id: group.id } })).body.id as number

  it.each(asked)('makes one %s of four', async (_, ask) => {
    for (let i = 0; i < 8; i++) {
      const [path, json] = await ask(i)
      const answers = await Promise.all([0, 1, 2, 3].map(() => box.admin('POST', path, { json })))
      const made = answers.filter(({ status }) => status === 201)
      expect(made.map(({ status }) => status)).toEqual([201])
      for (const { status, text } of answers) expect([201, 400, 409], text).toContain(status)
    }
  })

  const rivals: [what: string, ask: (i: number) => [path: string, json: object][]][] = [
    [
      'a project and a group',
      (i) => [
        ['/projects', { name: `both-${i}`, namespace_id: group.id }],
        ['/groups', { name: 'g', path: `both-${i}`, parent_id: group.id }],
      ],
    ],
    [
      'a project and a group that is made with another one',
      (i) => [
        ['/projects', { name: `with-${i}`, namespace_id: group.id }],
        ['/projects', { path: `team-${engine}/with-${i}/app` }],
      ],
    ],
    [
      'a user and a group',
      (i) => [
        ['/users', { username: `name-${engine}-${i}`, name: 'u', email: `rival-${engine}-${i}@example.com` }],
        ['/groups', { name: 'g', path: `name-${engine}-${i}` }],
      ],
    ],
  ]
  it.each(rivals)('gives a path to one of %s', async (_, ask) => {
    for (let i = 0; i < 8; i++) {
      const both = i % 2 === 0 ? ask(i) : ask(i).toReversed()
      const answers = await Promise.all(both.map(([path, json]) => box.admin('POST', path, { json })))
      const [least, most] = answers.map(({ status }) => status).toSorted((a, b) => a - b)
      expect(least, answers.map(({ text }) => text).join('\n')).toBe(201)
      expect([400, 409]).toContain(most)
    }
  })
})
