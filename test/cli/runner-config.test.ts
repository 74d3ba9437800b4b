import { expect, it } from 'vitest'
import { importLines, importRunnerConfig, RunnerConfigError } from '../../src/cli/runner-config.js'

const config = `
concurrent = 4
check_interval = 3
[session_server]
  listen_address = "0.0.0.0:8093"
[[runners]]
  name = "shell 1"
  url = "https://gitlab.example.com"
  id = 7
  token = "glrt-t1_verysecretverysecret"
  executor = "shell"
  limit = 2
  builds_dir = "/var/lib/runner/builds"
  output_limit = 16384
  wonder = true
  [runners.cache]
    Type = "s3"
[[runners]]
  url = "https://gitlab.example.com"
  token = "abc"
  executor = "kubernetes"
  clone_url = "http://git.internal"
`

it('says what to change, how the own runner is started, and what has no counterpart', () => {
  const [shell, kubernetes] = importRunnerConfig(config, 'http://box:8080')
  expect(shell!.changes.map(({ key, from, to }) => [key, from, to])).toEqual([
    ['url', 'https://gitlab.example.com', 'http://box:8080'],
    ['token', 'glrt-t1_…', 'glrt-…'],
    ['id', '7', 'take it out'],
  ])
  expect(shell!.changes[1]!.why).toContain("signalbox runner create --description 'shell 1'")
  expect(shell!.own.command).toBe(
    'SIGNALBOX_RUNNER_TOKEN=glrt-… signalbox runner start --url http://box:8080 --executor shell --concurrency 2 --work-dir /var/lib/runner/builds',
  )
  expect(shell!.own.missing.map(({ key }) => key)).toEqual([
    'session_server',
    'runners.output_limit',
    'runners.wonder',
    'runners.cache',
  ])
  expect(shell!.idle).toEqual([{ key: 'session_server', why: 'there are no web terminals' }])
  expect(kubernetes).toMatchObject({ name: 'runner 2', executor: 'kubernetes', own: { command: null } })
  expect(kubernetes!.changes.map(({ key }) => key)).toEqual(['url', 'token', 'clone_url'])
  const text = importLines([shell!, kubernetes!]).join('\n')
  expect(text).not.toContain('verysecret')
  expect(text).toContain('there is no executor kubernetes')
})

it('says where a file is wrong', () => {
  const refused = (text: string) => {
    try {
      importRunnerConfig(text, 'http://box')
    } catch (error) {
      if (error instanceof RunnerConfigError) return [error.message, error.line]
      throw error
    }
    return undefined
  }
  expect(refused('concurrent = \n')).toEqual([expect.any(String), 1])
  expect(refused('concurrent = 1')).toEqual(['there are no [[runners]] in it', undefined])
  expect(refused('runners = "x"')).toEqual(['there are no [[runners]] in it', undefined])
  expect(refused('runners = [1]')).toEqual(['runners[0] is not a table', undefined])
})

it('says only what changes', () => {
  const at = (url: string, token: string) =>
    importRunnerConfig(
      `[[runners]]\n url = "${url}"\n token = "${token}"\n executor = "docker"\n token_obtained_at = 2023-03-06T18:09:02Z\n`,
      'http://box.test/',
    )
  const elsewhere = importLines(at('https://gitlab.test', 'abcdefghijkl')).join('\n')
  expect(elsewhere).toContain('url: https://gitlab.test -> http://box.test/ ')
  expect(elsewhere).toMatch(/token_obtained_at: 2023-03-06T18:09:02(\.000)?Z -> take it out/)
  const here = at('http://box.test', 'glrt-abcdefgh')
  expect(here[0]!.changes).toEqual([])
  expect(importLines(here).join('\n')).toContain('nothing: it is at this coordinator')
  expect(at('http://box.test', 'abcdefgh')[0]!.changes.map((one) => one.key)).toEqual(['token', 'token_obtained_at'])
})
