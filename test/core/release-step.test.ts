import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { releaseScript } from '../../src/core/release-step.js'

it('writes one call with every flag, in order', () => {
  const release = {
    tag_name: 'v1',
    name: 'One',
    description: 'First',
    milestones: ['m1', 'm2'],
    assets: { links: [{ name: 'a', url: 'http://x' }] },
  }
  expect(releaseScript(release)).toEqual([
    'release-cli create --name "One" --tag-name "v1" --description "First" --milestone "m1" --milestone "m2" ' +
      '--assets-link "{\\"name\\":\\"a\\",\\"url\\":\\"http://x\\"}"',
  ])
})

it('lets the shell put variables in, so that no value becomes a command', () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: that of a shell
  const description = 'T: $TITLE ${TITLE} $(id) `id` "q" \\ $ $1 end'
  const [line] = releaseScript({ tag_name: 'v1', description })
  // What a runner does to the lines of this step: a variable's value, and `$` for `$$`.
  const expanded = line!.replace(/\$(\$|\{?[A-Za-z_]\w*\}?)/g, (_, name: string) => (name === '$' ? '$' : ''))
  const TITLE = '"; id; $(id) `id`'
  const script = `release-cli() { printf '%s\\n' "$@"; }; ${expanded}`
  const printed = execFileSync('bash', ['-c', script], { env: { ...process.env, TITLE } }).toString()
  expect(printed.split('\n').slice(3, 5)).toEqual([
    '--description',
    `T: ${TITLE} ${TITLE} $(id) \`id\` "q" \\ $ $1 end`,
  ])
})
