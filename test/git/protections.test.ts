/** Protected branches and tags over both doors: who sets them, and whose pushes and pipelines they let through. */
import { expect, it } from 'vitest'
import { Coordinator, git } from '../support/processes.js'

const config = 'job:\n  script: echo done\n'

it('lets push, tag and run only whom the protection names, and says why', async () => {
  await using box = await Coordinator.start()
  const work = await box.repository('team/app', { '.gitlab-ci.yml': config })
  await git(work, 'push', '--quiet', 'origin', 'main')
  const done = async (...args: string[]) => {
    const { code, stdout, stderr } = await box.signalbox(...args)
    expect(code, `${args.join(' ')}: ${stderr}`).toBe(0)
    return stdout.trim()
  }
  await done('user', 'create', 'ada', '--email', 'ada@example.com')
  await done('member', 'add', 'ada', '--project', 'team/app', '--level', 'developer')
  const token = await done('token', 'create', 'laptop', '--user', 'ada')
  const remote = new URL(box.url)
  ;[remote.username, remote.password] = ['ada', token]
  const push = (...refs: string[]) =>
    git(work, 'push', '--quiet', `${remote.href}team/app.git`, ...refs).then(
      () => 'pushed',
      (error: Error) => /remote: (.*)/.exec(error.message)?.[1] ?? error.message,
    )
  const api = async (method: string, path: string, body?: object, as = box.token) => {
    const response = await fetch(`${box.url}/api/v4/projects/team%2Fapp${path}`, {
      method,
      headers: { 'PRIVATE-TOKEN': as, 'Content-Type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    return { status: response.status, body: response.status === 204 ? undefined : await response.json() }
  }
  const runs = async (ref: string) => (await api('POST', '/pipeline', { ref }, token)).status

  // Until somebody says otherwise: the default branch, for maintainers.
  expect((await api('GET', '/protected_branches')).body).toMatchObject([
    { name: 'main', push_access_levels: [{ access_level: 40, access_level_description: 'Maintainers' }] },
  ])
  expect(await push('HEAD:refs/heads/main', 'HEAD:refs/heads/topic')).toBe('pushed')
  await git(work, 'commit', '--quiet', '--allow-empty', '--message', 'Second')
  expect(await push('HEAD:refs/heads/main')).toContain('not allowed to push code to protected branches')
  expect([await runs('topic'), await runs('main')]).toEqual([201, 400])

  const opened = { allowed_to_push: [{ access_level: 30 }], merge_access_level: 30 }
  expect((await api('PATCH', '/protected_branches/main', opened, token)).status).toBe(403)
  expect((await api('PATCH', '/protected_branches/main', opened)).status).toBe(200)
  expect(await push('HEAD:refs/heads/main')).toBe('pushed')
  expect(await runs('main')).toBe(201)

  // Merging only: nobody pushes, developers run.
  const merging = { name: 'release/*', push_access_level: 0, merge_access_level: 30 }
  await git(work, 'push', '--quiet', 'origin', 'HEAD:refs/heads/release/1')
  expect((await api('POST', '/protected_branches', merging)).status).toBe(201)
  expect((await api('POST', '/protected_branches', merging)).status).toBe(409)
  expect(await push('HEAD~1:refs/heads/release/2')).toContain('not allowed to push')
  expect(await runs('release/1')).toBe(201)
  expect((await api('GET', '/protected_branches/release%2F*')).body).toMatchObject({ name: 'release/*' })
  expect((await api('DELETE', '/protected_branches/release%2F*')).status).toBe(204)
  expect((await api('GET', '/protected_branches/release%2F*')).status).toBe(404)
  expect(await push('HEAD~1:refs/heads/release/2')).toBe('pushed')

  // By force, once it is said.
  expect((await api('PATCH', '/protected_branches/main', { allow_force_push: false })).status).toBe(200)
  expect(await push('+HEAD~1:refs/heads/main')).not.toBe('pushed')
  expect((await api('PATCH', '/protected_branches/main', { allow_force_push: true })).status).toBe(200)
  expect(await push('+HEAD~1:refs/heads/main')).toBe('pushed')
  expect(await push(':refs/heads/main')).toContain('cannot be deleted')

  expect((await api('POST', '/protected_tags', { name: 'v*' })).body).toMatchObject({
    name: 'v*',
    create_access_levels: [{ access_level: 40 }],
  })
  expect(await push('HEAD:refs/tags/v1')).toContain('not allowed to create this tag')
  expect(await push('HEAD:refs/tags/w1')).toBe('pushed')
  // A release would make it by another door.
  const release = (tag_name: string) => api('POST', '/releases', { tag_name, ref: 'main' }, token)
  expect([(await release('v2')).status, (await release('w2')).status]).toEqual([403, 201])
  await git(work, 'push', '--quiet', 'origin', 'HEAD:refs/tags/v1')
  expect(await runs('v1')).toBe(400)
  expect(await push(':refs/tags/v1')).toContain('Protected tags')

  // What was made for a protected ref has its secrets: it stays its maintainers' also when the ref is open.
  const [{ id }] = (await api('GET', '/pipelines?ref=v1')).body as [{ id: number }]
  expect((await api('DELETE', '/protected_tags/v*')).status).toBe(204)
  expect((await api('POST', `/pipelines/${id}/cancel`, {}, token)).status).toBe(403)
  expect(await runs('v1')).toBe(201)

  // What cannot be is refused, and changes nothing.
  const before = JSON.stringify((await api('GET', '/protected_branches')).body)
  for (const wrong of [
    { name: 'x', push_access_level: 31 },
    { name: 'x', allowed_to_push: [{ user_id: 1 }] },
    { name: '' },
    {},
  ]) {
    expect((await api('POST', '/protected_branches', wrong)).status).toBe(400)
  }
  expect((await api('PATCH', '/protected_branches/main', {})).status).toBe(400)
  expect((await api('DELETE', '/protected_branches/none')).status).toBe(404)
  expect(JSON.stringify((await api('GET', '/protected_branches')).body)).toBe(before)
})
