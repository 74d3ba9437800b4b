/** Clients that come with the operating system. `.ci/run` installs them; where it could not, they count as skipped. */
import { execFileSync, spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GitScene, seen, startGitScene } from './git-scene.js'
import { type Scene, startScene } from './scene.js'

const clients = {
  'python-gitlab': {
    command: '/usr/bin/python3',
    probe: ['-c', 'import gitlab'],
    run: 'python.py',
    browse: 'browse.py',
  },
  'ruby gitlab': { command: 'ruby', probe: ['-e', 'require "gitlab"'], run: 'ruby.rb', browse: 'browse.rb' },
  'GitLab::API::v4': { command: 'perl', probe: ['-MGitLab::API::v4', '-e', '1'], run: 'perl.pl', browse: 'browse.pl' },
}

function isThere(command: string, args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Runs the client's script; a line `work STATE` of it asks for a job to be done, and is answered with a line. */
async function play(scene: Scene | GitScene, command: string, script: string): Promise<string[]> {
  const child = spawn(command, [new URL(`scripts/${script}`, import.meta.url).pathname], {
    env: { PATH: process.env.PATH, URL: scene.url, TOKEN: scene.token, PROJECT: scene.path },
  })
  const complaints = text(child.stderr)
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  const lines: string[] = []
  let rest = ''
  for await (const chunk of child.stdout) {
    const parts = `${rest}${chunk}`.split('\n')
    rest = parts.pop()!
    for (const line of parts) {
      lines.push(line)
      if (!line.startsWith('work ')) continue
      await (scene as Scene).work(line.slice(5) as 'success')
      child.stdin.write('done\n')
    }
  }
  expect([lines, await ended, await complaints]).toEqual([lines, 0, expect.not.stringContaining('rror')])
  return lines
}

let repository: GitScene

beforeAll(async () => {
  repository = await startGitScene()
})
afterAll(() => repository[Symbol.asyncDispose]())

describe.each(Object.entries(clients))('%s', (_, { command, probe, run, browse }) => {
  it.skipIf(!isThere(command, probe))('looks at branches, files, webhooks, groups and users', async () => {
    expect(await play(repository, command, browse)).toEqual(seen)
  })

  it.skipIf(!isThere(command, probe))('lists, creates, retries, plays, cancels and downloads', async () => {
    await using scene = await startScene()
    expect(await play(scene, command, run)).toEqual([
      `project ${scene.projectId}`,
      'variables A=b C=d',
      'work failed',
      'build failed',
      'log of job',
      'retried pending',
      'work success',
      'made by a jöb',
      'tests 1 build adds',
      'played pending',
      'canceled canceled',
      'missing 404',
    ])
  })
})

const python = clients['python-gitlab']
it.skipIf(!isThere(python.command, python.probe))(
  'python-gitlab manages people, what is protected, tokens and moves',
  async () => {
    await using scene = await startScene()
    expect(await play(scene, python.command, 'people.py')).toEqual([
      'users ada active',
      'blocked blocked',
      'members 40 root 50 ada 40',
      'group root 50 None ada 20 2099-01-31',
      'shared root 50 ada 20',
      'branches main release-* 30',
      'tags v* 40',
      'tokens 30 True bot',
      'project token 20 1',
      'renamed renamed',
      'moved crew/renamed True',
      'group moved fleet/crew fleet/crew/renamed',
    ])
  },
)
