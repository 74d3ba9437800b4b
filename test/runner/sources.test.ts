import { expect, test } from 'vitest'
import type { FakeJob } from './support/fake-job.js'
import { GitServer, git } from './support/git-server.js'
import { Harness } from './support/harness.js'
import type { PayloadSpec } from './support/payload.js'

test('gets the commit of the job, as deep as asked, without showing the token to anybody', async () => {
  await using box = await startWithGit()
  const [, second, third] = box.commits
  const job = box.job(
    { depth: 1, sha: second },
    { script: ['git log --oneline | wc -l', 'cat file.txt', 'git remote -v'] },
  )
  await box.harness.runner()
  expect(await job.finished(), job.text).toMatchObject({ state: 'success' })
  expect(job.text).toContain('Fetching changes with git depth set to 1...')
  expect(job.text).toContain('Created fresh repository.')
  expect(job.text).toContain(`Checking out ${second?.slice(0, 8)} as detached HEAD (ref is main)...`)
  expect(job.text).toMatch(/\n1\n.*\nsecond\n/s)
  expect(job.text).toContain(`${box.harness.box.http}/ops/demo.git (fetch)`)
  expect(job.text).not.toContain(third?.slice(0, 8))
  expect(job.text).not.toContain(job.token)
  expect(box.git.commandLines.join('\n')).toContain('git-remote-http')
  expect(box.git.commandLines.join('\n')).not.toContain(job.token)
  // Nobody was asked for a password: the token came with the first request.
  expect(new Set(box.git.seen)).toEqual(new Set([`gitlab-ci-token:${job.token}`]))
})

test('lets the git commands of the job itself in, and leaves their own credentials alone', async () => {
  await using box = await startWithGit()
  const job = box.job(
    { depth: 1 },
    {
      script: [
        'git fetch -q --unshallow origin && git log --oneline origin/main | wc -l',
        `git ls-remote -q "$(git remote get-url origin | sed 's#://#://me:other-password@#')" HEAD`,
      ],
    },
  )
  await box.harness.runner()
  expect(await job.finished(), job.text).toMatchObject({ state: 'success' })
  expect(job.text).toMatch(/\n3\n/)
  expect(box.git.seen).toContain('me:other-password')
  expect(box.git.commandLines.join('\n')).not.toContain(job.token)
})

test('finds the sources of the job before, and cleans them', async () => {
  await using box = await startWithGit()
  const make = 'touch untracked.txt && echo changed > file.txt && touch ../demo/.git/index.lock'
  const script = ['ls', 'cat file.txt']
  await box.harness.runner({ concurrency: 1 })
  await box.job({}, { script: [make] }).finished()
  const fetched = box.job({}, { script })
  expect(await fetched.finished(), fetched.text).toMatchObject({ state: 'success' })
  expect(fetched.text).not.toContain('Created fresh repository.')
  expect(fetched.text).toMatch(/\nfile.txt\n.*\nthird\n/s)
  expect(fetched.text).not.toMatch(/\nuntracked.txt\n/)
  await box.job({}, { script: ['touch untracked.txt'] }).finished()
  const unclean = box.job({}, { script, variables: { GIT_STRATEGY: 'fetch', GIT_CLEAN_FLAGS: 'none' } })
  await unclean.finished()
  expect(unclean.text).toMatch(/\nuntracked.txt\n/)
  const cloned = box.job({}, { script, variables: { GIT_STRATEGY: 'clone' } })
  await cloned.finished()
  expect(cloned.text).toContain('Created fresh repository.')
  expect(cloned.text).not.toMatch(/\nuntracked.txt\n/)
  const none = box.job({}, { script: ['cat file.txt', 'touch left'], variables: { GIT_STRATEGY: 'none' } })
  expect(await none.finished()).toMatchObject({ state: 'success' })
  expect(none.text).toContain('Skipping Git repository setup')
  const empty = box.job({}, { script: ['test -z "$(ls -A)"'], variables: { GIT_STRATEGY: 'empty' } })
  expect(await empty.finished(), empty.text).toMatchObject({ state: 'success' })
})

test('brings submodules of the same host, with the same token', async () => {
  await using box = await startWithGit()
  box.git.create('ops/sub.git', [{ 'in-sub.txt': 'sub content' }])
  const commits = box.git.create('ops/super.git', [{}], (work) => {
    git(work, 'submodule', 'add', '-q', `${box.harness.root}/git/ops/sub.git`, 'sub')
    git(work, 'config', '-f', '.gitmodules', 'submodule.sub.url', '../sub.git')
  })
  const job = box.job(
    { repo: 'ops/super.git', sha: commits[0] },
    {
      script: ['cat sub/in-sub.txt', 'cd sub && git fetch -q origin'],
      variables: { GIT_STRATEGY: 'fetch', GIT_SUBMODULE_STRATEGY: 'recursive' },
    },
  )
  await box.harness.runner()
  expect(await job.finished(), job.text).toMatchObject({ state: 'success' })
  expect(job.text).toContain('Updating/initializing submodules recursively')
  expect(job.text).toMatch(/\nsub content\n?/)
  expect(box.git.commandLines.join('\n')).not.toContain(job.token)
})

test('tries again as often as GET_SOURCES_ATTEMPTS says', async () => {
  await using box = await startWithGit()
  box.harness.box.fault(/info\/refs/, 500)
  const job = box.job({}, { variables: { GIT_STRATEGY: 'fetch', GET_SOURCES_ATTEMPTS: '2' } })
  await box.harness.runner()
  expect(await job.finished(), job.text).toMatchObject({ state: 'success' })
  expect(job.text).toContain('Deleting tracked and untracked files...')
})

test('fails when the commit cannot be had, and runs no script then', async () => {
  await using box = await startWithGit()
  const job = box.job({ sha: '1234567890123456789012345678901234567890' }, { afterScript: ['echo never'] })
  await box.harness.runner()
  expect(await job.finished()).toMatchObject({ state: 'failed', failureReason: 'script_failure' })
  expect(job.text).not.toMatch(/hello|never/)
})

test('runs the hooks before and after, and honours GIT_CHECKOUT', async () => {
  await using box = await startWithGit()
  const job = box.job(
    {},
    {
      variables: { GIT_STRATEGY: 'fetch', GIT_CHECKOUT: 'false' },
      script: ['test ! -e file.txt'],
      extra: {
        hooks: [
          { name: 'pre_get_sources_script', script: ['echo before sources'] },
          { name: 'post_get_sources_script', script: ['echo after sources'] },
        ],
      },
    },
  )
  await box.harness.runner()
  expect(await job.finished(), job.text).toMatchObject({ state: 'success' })
  expect(job.text).toMatch(/\nbefore sources\n.*Skipping Git checkout.*\nafter sources\n/s)
})

test('works where GIT_CLONE_PATH says, as long as that is its own', async () => {
  await using box = await startWithGit()
  const variables = { GIT_STRATEGY: 'fetch', GIT_CLONE_PATH: '$CI_BUILDS_DIR/elsewhere/$CI_CONCURRENT_ID' }
  const inside = box.job({}, { variables, script: ['pwd', 'cat file.txt'] })
  const outside = box.job({}, { variables: { ...variables, GIT_CLONE_PATH: '$CI_BUILDS_DIR/../outside' } })
  await box.harness.runner({ concurrency: 1 })
  expect(await inside.finished(), inside.text).toMatchObject({ state: 'success' })
  expect(inside.text).toMatch(/\/builds\/elsewhere\/0\n/)
  expect(await outside.finished()).toMatchObject({ failureReason: 'runner_configuration_error' })
  expect(outside.text).toContain('has to be within')
})

test('takes repositories from the local disk', async () => {
  await using box = await startWithGit()
  const job = box.job({ url: `file://${box.harness.root}/git/ops/demo.git` }, { script: ['cat file.txt', 'pwd'] })
  await box.harness.runner()
  expect(await job.finished(), job.text).toMatchObject({ state: 'success' })
  expect(job.text).toMatch(/\nthird\n.*\/ops\/demo\n/s)
  expect(box.git.seen).toEqual([])
})

test('fetches from where it was told to instead of the address, which the job still sees', async () => {
  await using box = await startWithGit()
  const address = `${box.harness.box.http}/ops/demo.git`
  const job = box.job({ depth: 1 }, { script: ['cat file.txt', 'git remote -v'] })
  await box.harness.runner({ insteadOf: { url: address, base: `file://${box.harness.root}/git/ops/demo.git` } })
  expect(await job.finished(), job.text).toMatchObject({ state: 'success' })
  expect(job.text).toMatch(/\nthird\n/)
  expect(job.text).toContain(`${address} (fetch)`)
  expect(box.git.seen).toEqual([])
})

interface GitInfo {
  depth?: number
  sha?: string | undefined
  repo?: string
  url?: string
}

/** A coordinator with a repository of three commits. */
async function startWithGit() {
  const harness = await Harness.start('websocket')
  const { box } = harness
  const server = new GitServer(`${harness.root}/git`, () => [...box.jobs.map((job) => job.token), 'other-password'])
  box.git = server
  const commits = server.create(
    'ops/demo.git',
    ['first', 'second', 'third'].map((text) => ({ 'file.txt': `${text}\n` })),
  )
  const job = ({ depth = 0, sha = commits[2], repo = 'ops/demo.git', url }: GitInfo, spec: PayloadSpec): FakeJob =>
    box.add({
      ...spec,
      variables: { GIT_STRATEGY: 'fetch', ...spec.variables },
      extra: {
        git_info: {
          repo_url: url ?? `${box.http}/${repo}`,
          ref: 'main',
          sha,
          depth,
          refspecs: depth > 0 ? [`+${sha}:refs/pipelines/1`] : ['+refs/heads/*:refs/remotes/origin/*'],
        },
        ...spec.extra,
      },
    })
  return { harness, git: server, commits, job, [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose]() }
}
