/** GitLab's client for Go, built here. Where Go or the client's modules cannot be had, its test counts as skipped. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../git/support/git.js'
import { startGitScene } from './git-scene.js'

const run = promisify(execFile)
const source = {
  cwd: fileURLToPath(new URL('scripts/client-go', import.meta.url)),
  env: { ...process.env, GOTOOLCHAIN: 'local' },
}

const config = `
workflow: { rules: [{ if: $CI_PIPELINE_SOURCE != "push" }] }
stages: [build, deploy]
build:
  stage: build
  script: [make]
  artifacts: { paths: [out], reports: { junit: junit.xml } }
deploy:
  stage: deploy
  script: [ship]
  when: manual
  environment: production
  resource_group: production
`

/** Without the network this says yes where the modules were had before. */
const isThere = await run('go', ['mod', 'download'], { ...source, timeout: 60_000 }).then(
  () => true,
  () => false,
)
if (!isThere) console.info('client-go is not tested: Go or its modules are not there')

// Compiling the client for the first time takes a minute of a processor.
it.skipIf(!isThere)('serves client-go', { timeout: 300_000 }, async () => {
  using folder = temporaryFolder()
  const program = `${folder.path}/client`
  await run('go', ['build', '-buildvcs=false', '-o', program, '.'], source)
  await using scene = await startGitScene({ '.gitlab-ci.yml': config }, ['main:feature/y', 'main:refs/tags/v1'])
  const env = { URL: scene.url, TOKEN: scene.token, PROJECT: scene.path }
  const { stdout, stderr } = await run(program, [], { env }).catch((error) => error)
  expect([stdout.trim().split('\n'), stderr]).toEqual([said, ''])
})

const said = [
  'server true true',
  'projects acme/app main 1 acme/other 1200 ci.yml',
  'repository [feature/x feature/y main] Change files [.gitlab-ci.yml README.md src src/a b.txt]' +
    ' text 4 text text 1 true 3 true true 1 v1 true',
  'lint true true false true',
  'variables file of a test other production 1 i',
  'pipelines api pending root A b 1 0 1 0 true named build unknown_failure worker true 0 log of job pending' +
    ' 1 0.5 build adds success 1 success file 2 root made by a jöb PK true waiting_for_resource unordered canceled' +
    ' success success made by a jöb PK 4 0 true canceled 2 build acme/app',
  'runners project_type [a b] 1200 note acme/app never_contacted mine true [c] 1 1 2 0 true true',
  'schedules true v w 0 2 * * * schedule root true K 1 K',
  'triggers trigger [T] other root true 1',
  'environments true development https://b.example.com 1 stopped 2 deploy production root true production production true',
  'statuses success 71.5 root https://example.com/1 true 1 went well',
  'releases root true package true runbook 2 First 2 v1 1 v1',
  'hooks true true https://example.com/other false true 1',
  'merge requests Change feature/y root 1 1 closed',
  'groups tools/sub true Kit 1 1 acme/app 2 g group true',
  'users root ann@example.com [read_api] true blocked 1 active',
  'tokens bot [api] 30 true true 1 true true',
  'scope true true 1 1',
  'missing true true',
  'people 30 40 1 true ann 10',
  'protections 30 true 2 40 1',
  'group tokens 30 true 2 true',
  'moves acme/renamed crew/renamed true fleet/crew',
]
