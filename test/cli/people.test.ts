/** Users and members from the command line, on a running coordinator. */
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { Coordinator, signalbox } from '../support/processes.js'

it('makes users and members, and lets each do what the level says', async () => {
  await using box = await Coordinator.start()
  const run = (line: string, env = {}) => signalbox(line.split(' '), { cwd: box.folder, env: { ...box.env, ...env } })
  const done = async (line: string, env = {}) => {
    const { code, stdout, stderr } = await run(line, env)
    expect(code, `${line}: ${stderr}`).toBe(0)
    return stdout.trim()
  }
  // Told once, also where little is logged.
  await eventually(() => expect(box.stderr).toContain(`${box.url}/-/password?token=`))
  await done('project create team/app')
  await done('user create ada --email ada@example.com --name Ada')
  const ada = { SIGNALBOX_TOKEN: await done('token create laptop --user ada') }
  expect(await done('project list', ada)).not.toContain('team/app')
  expect((await run('project show team/app', ada)).code).toBe(3)

  await done('member add ada --group team --level developer')
  expect(await done('project list', ada)).toContain('team/app')
  expect((await run('variable set A b --project team/app', ada)).code).toBe(4)
  await done('member add ada --group team --level maintainer --expires 2100-01-31')
  await done('variable set A b --project team/app', ada)
  expect((await run('member add ada --project team/app --level owner', ada)).code).toBe(4)
  const members = JSON.parse(await done('member list --project team/app --json'))
  expect(members).toMatchObject([
    { username: 'root', access_level: 50 },
    { username: 'ada', access_level: 40, expires_at: '2100-01-31' },
  ])
  expect(await done('member list --project team/app')).toMatch(/^ada\tmaintainer\t2100-01-31\tAda$/m)

  await done('member remove ada --group team')
  expect((await run('project show team/app', ada)).code).toBe(3)
  await done('user admin ada')
  await done('project show team/app', ada)
  await done('user admin ada --remove')
  const link = new URL(await done('user password ada'))
  const form = new URLSearchParams({
    token: link.searchParams.get('token')!,
    password: 'a long password',
    again: 'a long password',
  })
  expect(await (await fetch(link)).text()).toContain('<form method="post">')
  const at = box.url + link.pathname
  expect(
    (await fetch(at, { method: 'POST', body: new URLSearchParams({ ...Object.fromEntries(form), again: 'x' }) }))
      .status,
  ).toBe(400)
  expect(await (await fetch(at, { method: 'POST', body: form })).text()).toContain('The password of ada is set')
  expect((await fetch(at, { method: 'POST', body: form })).status).toBe(401)
  await done('user block ada')
  expect((await run('project list', ada)).code).toBe(4)
  await done('user unblock ada')
  expect(await done('user list')).toMatch(/^\d+\tada\tactive\t\tAda$/m)

  expect((await run('user admin root --remove')).code).toBe(4)
  expect((await run('member add nobody --group team --level developer')).code).toBe(3)
  expect((await run('member add ada --group team --level chief')).code).toBe(2)
  expect((await run('member add ada --group team --project team/app --level guest')).code).toBe(2)
})
