import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { releaseScript } from '../../src/core/payload/release-step.js'

/** What a runner does to the lines of this step: a variable's value, and `$` for `$$`. */
function expanded(release: Record<string, unknown>): string {
  const [script] = releaseScript(release)
  return script!.replace(/\$(\$|\{?[A-Za-z_]\w*\}?)/g, (_, name: string) => (name === '$' ? '$' : ''))
}

/** What the programs are called with, one argument a line. `glab`: its version, or none. */
function calls(release: Record<string, unknown>, glab?: string, env: Record<string, string> = {}, shell = 'sh') {
  const stub = (name: string, head = '') => `${name}() { ${head}printf '%s\n' ${name} "$@" end; }`
  const script = [
    stub('release_cli'),
    ...(glab === undefined ? [] : [stub('glab', `[ "$1" != --version ] || { echo "glab ${glab} (x)"; return; }; `)]),
    expanded(release).replace('release-cli', 'release_cli'),
  ].join('\n')
  const printed = execFileSync(shell, ['-ec', script], { env: { PATH: process.env.PATH, ...env } }).toString()
  return printed
    .split('\nend\n')
    .filter((call) => call !== '')
    .map((call) => call.split('\n'))
}

const server = {
  CI_SERVER_URL: 'http://ci.test:8080',
  CI_SERVER_FQDN: 'ci.test:8080',
  CI_SERVER_PROTOCOL: 'http',
  CI_JOB_TOKEN: 'glcbt-x',
  CI_PROJECT_PATH: 'a/b',
  CI_COMMIT_SHA: 'f00',
}
const full = {
  tag_name: 'v1',
  name: 'One',
  description: 'First',
  tag_message: 'made',
  released_at: '2026-01-01T00:00:00Z',
  milestones: ['m1', 'm2'],
  assets: { links: [{ name: 'a', url: 'http://x' }] },
}

it.each([undefined, '1.57.9'])('calls release-cli where glab is %s', (glab) => {
  expect(calls(full, glab, server)).toEqual([
    // biome-ignore format: as it is called
    ['release_cli', 'create', '--name', 'One', '--description', 'First', '--tag-name', 'v1', '--tag-message', 'made',
      '--released-at', '2026-01-01T00:00:00Z', '--milestone', 'm1', '--milestone', 'm2',
      '--assets-link', '{"name":"a","url":"http://x"}'],
  ])
})

it.each(['1.58.0', '1.100.2', '2.0.0'])('calls glab %s with every flag, in order', (glab) => {
  expect(calls(full, glab, server)).toEqual([
    ['glab', 'auth', 'login', '--job-token', 'glcbt-x', '--hostname', 'ci.test:8080', '--api-protocol', 'http'],
    // biome-ignore format: as it is called
    ['glab', 'release', 'create', 'v1', '-R', 'a/b', '--assets-links', '[{"name":"a","url":"http://x"}]',
      '--milestone', 'm1,m2', '--name', 'One', '--experimental-notes-text-or-file', 'First', '--ref', 'f00',
      '--tag-message', 'made', '--released-at', '2026-01-01T00:00:00Z', '--no-update', '--no-close-milestone'],
  ])
})

it.each(['sh', 'bash'])('lets %s put variables in, so that no value becomes a command', (shell) => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: that of a shell
  const description = 'T: $TITLE ${TITLE} $(id) `id` "q" \\ $ $1 end.'
  const TITLE = '"; id; $(id) `id`'
  const said = `T: ${TITLE} ${TITLE} $(id) \`id\` "q" \\ $ $1 end.`
  for (const glab of [undefined, '1.60.0']) {
    const call = calls({ tag_name: 'v1', description }, glab, { ...server, TITLE }, shell).at(-1)!
    expect(call[call.findIndex((word) => /^--(description|experimental-notes)/.test(word)) + 1]).toBe(said)
  }
})
