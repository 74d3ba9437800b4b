/** `signalbox variable` and `signalbox token`, against a coordinator of its own. */
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { Coordinator, signalbox } from '../support/processes.js'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let box: Coordinator
beforeAll(async () => {
  box = await Coordinator.start()
  await box.api('POST', '/api/signalbox/v1/projects', { path: 'team/app' })
})
afterAll(() => box[Symbol.asyncDispose]())

const run = (args: string, input?: string) =>
  signalbox(args.split(' '), { cwd: box.folder, env: box.env, ...(input === undefined ? {} : { input }) })
const variables = (path = 'projects/team%2Fapp') =>
  box.api<Record<string, unknown>[]>('GET', `/api/v4/${path}/variables`)

it('sets, lists and deletes variables, and shows no masked value', async () => {
  const on = '--project team/app'
  const secret = 'correct-horse-battery'
  expect(await run(`variable set PLAIN one ${on}`)).toMatchObject({ code: 0, stdout: '', stderr: 'PLAIN made\n' })
  const said = await run(`variable set SECRET - ${on} --masked --protected --scope prod/*`, `${secret}\n`)
  expect(said).toMatchObject({ code: 0, stderr: 'SECRET made\n' })
  await run(`variable set FILE ${on} --file`, 'line one\nline two\n')
  await run(`variable set HIDDEN - ${on} --hidden`, secret)
  expect(await variables()).toMatchObject([
    { key: 'FILE', variable_type: 'file', value: 'line one\nline two\n' },
    { key: 'HIDDEN', hidden: true, masked: true, value: null },
    { key: 'PLAIN', variable_type: 'env_var', value: 'one', masked: false, protected: false },
    { key: 'SECRET', value: secret, masked: true, protected: true, environment_scope: 'prod/*' },
  ])
  const again = await run(`variable set SECRET - ${on} --no-protected --scope prod/*`, 'other-horse-battery')
  expect(again).toMatchObject({ code: 0, stderr: 'SECRET set\n' })
  expect((await variables())[3]).toMatchObject({ value: 'other-horse-battery', masked: true, protected: false })
  const listed = await run(`variable list ${on}`)
  expect(listed.stdout.split('\n').map((line) => line.split('\t'))).toEqual([
    ['FILE', '*', 'file', 'line one…'],
    ['HIDDEN', '*', 'plain', '[hidden]'],
    ['PLAIN', '*', 'plain', 'one'],
    ['SECRET', 'prod/*', 'plain', '[masked]'],
    [''],
  ])
  const document = await run(`variable list ${on} --json`)
  expect(JSON.parse(document.stdout)[3]).toMatchObject({ key: 'SECRET', value: null })
  for (const { stdout, stderr } of [said, again, listed, document]) expect(stdout + stderr).not.toContain('horse')

  expect((await run('variable set ALL x --instance')).code).toBe(0)
  expect((await run('variable set GROUP x --group team')).code).toBe(0)
  expect(await variables('groups/team')).toMatchObject([{ key: 'GROUP', value: 'x' }])
  expect(await variables('admin/ci')).toMatchObject([{ key: 'ALL', value: 'x' }])

  const refused: [args: string, code: number, said: RegExp][] = [
    [`variable set HIDDEN x ${on} --no-masked`, 2, /masked/],
    [`variable set PLAIN long-enough ${on} --hidden`, 2, /already been taken/],
    [`variable set SHORT x ${on} --masked`, 2, /value/],
    [`variable set no-name x ${on}`, 2, /key/],
    [`variable set X x ${on} --instance`, 2, /exclude each other/],
    [`variable unset NONE ${on}`, 3, /Not Found/],
    ['variable list --project team/none', 3, /Not Found/],
  ]
  const before = await variables()
  for (const [args, code, words] of refused) {
    expect([args, await run(args)]).toEqual([
      args,
      expect.objectContaining({ code, stderr: expect.stringMatching(words) }),
    ])
  }
  expect(await variables()).toEqual(before)
  expect((await run(`variable unset SECRET ${on} --scope prod/*`)).stderr).toBe('SECRET deleted\n')
  expect((await variables()).map(({ key }) => key)).toEqual(['FILE', 'HIDDEN', 'PLAIN'])
})

it('makes, lists and revokes access tokens', async () => {
  await box.api('POST', '/api/v4/users', { username: 'ada', name: 'Ada', email: 'ada@example.com' })
  const userOf = async (token: string) => {
    const response = await fetch(`${box.url}/api/v4/user`, { headers: { 'PRIVATE-TOKEN': token } })
    return response.ok ? ((await response.json()) as { username: string }).username : response.status
  }
  const made = await run('token create script --scopes read_api,read_repository --expires 30days --user ada')
  const expires = new Date(Date.now() + 30 * 86_400_000).toISOString().slice(0, 10)
  expect(made).toMatchObject({ code: 0, stderr: expect.stringContaining(`expires on ${expires}`) })
  const token = made.stdout.trim()
  expect(token).toMatch(/^glpat-[\w-]{27}$/)
  expect(await userOf(token)).toBe('ada')
  const bot = JSON.parse((await run('token create bot --project team/app --level developer --json')).stdout)
  expect(bot).toMatchObject({ access_level: 30, scopes: ['api'], expires_at: null })
  expect(await userOf(bot.token)).toMatch(/^project_1_bot_/)

  const [row] = JSON.parse((await run('token list --user ada --json')).stdout)
  expect(row).toMatchObject({ name: 'script', active: true, scopes: ['read_api', 'read_repository'] })
  expect((await run('token list --project team/app')).stdout).toMatch(/^\d+\tactive\tnever\t\d+\tapi\tbot\n$/)
  expect(await run(`token revoke ${row.id}`)).toMatchObject({ code: 0, stderr: `token ${row.id} revoked\n` })
  expect(await userOf(token)).toBe(401)
  expect((await run('token list --user ada')).stdout).toBe('')
  expect((await run('token list --user ada --all')).stdout).toContain('revoked')
  expect((await run(`token revoke ${bot.id} --project team/app`)).code).toBe(0)
  expect(await userOf(bot.token)).toBe(401)

  const refused: [args: string, code: number, said: RegExp][] = [
    ['token create x --scopes everything', 2, /scopes can only be api,/],
    ['token create x --expires sometime', 2, /--expires/],
    ['token create x --level owner', 2, /--level/],
    ['token create x --user nobody', 3, /no user nobody/],
    ['token revoke 999', 3, /Not Found/],
    ['token revoke glpat-x', 2, /by its id/],
    ['token revoke 1', 4, /settings/],
  ]
  for (const [args, code, words] of refused) {
    expect([args, await run(args)]).toEqual([
      args,
      expect.objectContaining({ code, stderr: expect.stringMatching(words) }),
    ])
  }
})
