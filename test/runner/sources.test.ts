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
  box.harness.box.fault(/info\/refs/, 500, { times: 5 })
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

/** What a job may leave in its clone; of `evil` no later job may see or hear anything. */
const residues: Record<string, string[]> = {
  'another address for the server': [
    'git config url.http://127.0.0.1:9/.insteadOf "$(git remote get-url origin | sed s#ops/.*##)"',
  ],
  'a proxy': ['git config http.proxy http://127.0.0.1:9'],
  hooks: [
    'mkdir -p .git/hooks',
    'for h in post-checkout reference-transaction post-index-change; do printf "#!/bin/sh\necho evil" > .git/hooks/$h; chmod +x .git/hooks/$h; done',
  ],
  'a folder of hooks': ['mkdir hooks', 'cp .git/HEAD hooks/x', 'git config core.hooksPath "$PWD/hooks"'],
  'hooks in the template': [
    'mkdir -p ../demo.tmp/git-template/hooks',
    'printf "#!/bin/sh\necho evil" > ../demo.tmp/git-template/hooks/post-checkout',
    'chmod +x ../demo.tmp/git-template/hooks/post-checkout',
    'rm -rf .git',
  ],
  'a filter and attributes': [
    'git config filter.x.smudge "echo evil; cat"',
    'mkdir -p .git/info && echo "* filter=x" > .git/info/attributes',
  ],
  'a monitor of files': ['git config core.fsmonitor "echo evil >&2; false"'],
  'settings of the working tree': [
    'git config extensions.worktreeConfig true',
    'git config --worktree core.fsmonitor "echo evil >&2; false"',
  ],
  'an include': [
    'printf "[http]\n\tproxy = http://127.0.0.1:9\n" > ../evil.conf',
    'git config include.path "$PWD/../evil.conf"',
  ],
  'a borrowed store': ['mkdir -p .git/objects/info && echo /nowhere > .git/objects/info/alternates'],
  'a broken index': ['echo evil > .git/index'],
  locks: ['touch .git/index.lock .git/packed-refs.lock .git/config.lock .git/refs/remotes/origin/main.lock'],
  'marks in the index': ['git update-index --assume-unchanged file.txt', 'echo evil > file.txt'],
  'a sparse checkout': ['git sparse-checkout set nothing', 'rm -f file.txt'],
  'a replaced commit': [
    'new=$(git commit-tree -m x "$(echo evil | git hash-object -w --stdin | xargs -I{} printf "100644 blob {}\tfile.txt\n" | git mktree)")',
    'git replace -f HEAD "$new"',
  ],
  'a branch named like the commit': [
    'new=$(echo evil | git hash-object -w --stdin | xargs -I{} printf "100644 blob {}\tfile.txt\n" | git mktree)',
    'git update-ref "refs/heads/$(git rev-parse HEAD)" "$(git -c user.name=x -c user.email=x commit-tree -m x "$new")"',
  ],
  'a ref in the way': ['git update-ref -d refs/remotes/origin/main', 'git update-ref refs/remotes/origin/main/x HEAD'],
  'a missing object': ['rm -rf .git/objects/pack/* .git/objects/??'],
  'a repository elsewhere': [
    'mv .git ../moved',
    'echo "gitdir: $PWD/../moved" > .git',
    'git config core.fsmonitor "echo evil >&2; false"',
  ],
  'a link for its folder': ['cd ..', 'mv demo moved-demo', 'ln -s moved-demo demo'],
}

test('is not touched by anything that another job has left in the clone', async () => {
  await using box = await startWithGit()
  await box.harness.runner({ concurrency: 1 })
  for (const [what, script] of Object.entries(residues)) {
    const variables = { GIT_AUTHOR_NAME: 'x', GIT_AUTHOR_EMAIL: 'x', GIT_COMMITTER_NAME: 'x', GIT_COMMITTER_EMAIL: 'x' }
    const before = box.job({}, { script, variables })
    expect(await before.finished(), `${what}\n${before.text}`).toMatchObject({ state: 'success' })
    const next = box.job(
      {},
      { script: ['cat file.txt', 'git status --porcelain', 'git config --get-regexp "x|proxy|monitor" || :'] },
    )
    expect(await next.finished(), `${what}\n${next.text}`).toMatchObject({ state: 'success' })
    expect(next.text, what).toMatch(/\nthird\n/)
    expect(next.text, what).not.toMatch(/evil|does not answer/)
  }
})

test('makes submodules anew, whatever another job has left in them', async () => {
  await using box = await startWithGit()
  const [first] = box.git.create('ops/sub.git', [{ 'in-sub.txt': 'sub content' }])
  const commits = box.git.create('ops/super.git', [{}], (work) => {
    git(work, 'submodule', 'add', '-q', `${box.harness.root}/git/ops/sub.git`, 'sub')
    git(work, 'config', '-f', '.gitmodules', 'submodule.sub.url', '../sub.git')
  })
  expect(first).toBeDefined()
  const where = { repo: 'ops/super.git', sha: commits[0] }
  const variables = { GIT_SUBMODULE_STRATEGY: 'recursive' }
  await box.harness.runner({ concurrency: 1 })
  const leaves = [
    ['cd sub', 'git config core.fsmonitor "echo evil >&2; false"', 'echo evil > in-sub.txt', 'touch new'],
    ['rm -rf sub/.git', 'cd sub', 'git init -q', 'git config core.fsmonitor "echo evil >&2; false"'],
    ['git config submodule.sub.url http://127.0.0.1:9/sub.git', 'git config submodule.sub.update "!echo evil"'],
    [
      'mkdir -p .git/modules/sub/hooks',
      'printf "#!/bin/sh\necho evil" > .git/modules/sub/hooks/post-checkout',
      'chmod +x .git/modules/sub/hooks/*',
    ],
  ]
  for (const script of leaves) {
    const before = box.job(where, { variables, script })
    expect(await before.finished(), before.text).toMatchObject({ state: 'success' })
    const next = box.job(where, {
      variables,
      script: ['cat sub/in-sub.txt', 'ls sub', 'cd sub && git fetch -q origin && git remote -v'],
    })
    expect(await next.finished(), next.text).toMatchObject({ state: 'success' })
    expect(next.text).toMatch(/\nsub content\n?/)
    expect(next.text).not.toMatch(/evil|\nnew/)
    // A repository in the place of the submodule's own is the one thing that only a fresh clone mends.
    expect(next.text.includes('again in a fresh clone')).toBe(script[0] === 'rm -rf sub/.git')
  }
})

test('takes an error of git for no more than that, whatever its words are', async () => {
  await using box = await startWithGit()
  const job = box.job(
    {},
    {
      extra: {
        hooks: [{ name: 'pre_get_sources_script', script: ['echo Failed to connect, Connection refused', 'false'] }],
      },
    },
  )
  await box.harness.runner()
  expect(await job.finished(), job.text).toMatchObject({ state: 'failed', failureReason: 'script_failure' })
  expect(job.text).not.toContain('does not answer')
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
  await box.harness.runner({ insteadOf: [{ url: address, base: `file://${box.harness.root}/git/ops/demo.git` }] })
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
