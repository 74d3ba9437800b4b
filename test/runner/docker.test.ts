/** The docker executor against a real engine. Where none can be had, the suite says so and counts as skipped. */
import fs from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configOf } from '../../src/plugins/definition.js'
import docker from '../../src/plugins/executors/docker/index.js'
import type { Executor, PluginHost } from '../../src/plugins/sdk.js'
import { skipsWithoutEngine, TestEngine } from '../support/engine.js'
import { TestRegistry } from '../support/registry.js'
import type { FakeJob } from './support/fake-job.js'
import { GitServer } from './support/git-server.js'
import { Harness } from './support/harness.js'

const skipped = skipsWithoutEngine('docker executor')
let engine: TestEngine
/** Containers take their time where others work, too; nothing here waits for it to pass. */
const patienceMs = 90_000
beforeAll(async () => {
  if (!skipped) engine = await TestEngine.start()
}, 120_000)
afterAll(async () => engine?.close(), 60_000)

describe.skipIf(skipped)('the docker executor', { timeout: 2 * patienceMs }, () => {
  it('runs scripts in the image of the job, one after the other, and leaves nothing behind', async () => {
    await using bench = await Bench.start()
    const job = bench.add({
      variables: {
        GREETING: "it's $HOME",
        NOTE: { value: 'in a file', file: true },
        HIDDEN: { value: 'sesame-open', masked: true },
      },
      script: [
        'echo "$GREETING"; pwd',
        'cat "$NOTE"; echo; echo "at $NOTE"; echo $HIDDEN',
        'for i in 1 2 3; do echo out $i; echo err $i >&2; done',
        'echo LATER=on >> $GITLAB_ENV; echo made > made.txt; (sleep 1000 &)',
        'false | true; echo piped $?',
        'exit 7',
      ],
      afterScript: ['echo "after $CI_JOB_STATUS $LATER $(cat made.txt)"; ps | grep -c "[s]leep 1000" || :'],
      extra: { image: { name: 'busybox:1' } },
    })
    expect(await job.finished(patienceMs)).toMatchObject({
      state: 'failed',
      exitCode: 7,
      failureReason: 'script_failure',
    })
    for (const text of [
      "\nit's ",
      '\n/builds/ops/demo\n',
      'in a file\nat /builds/ops/demo.tmp/NOTE\n[MASKED]\n',
      'out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n',
      'piped 0\n',
      'after failed on made\n0\n',
    ])
      expect(job.text).toContain(text)
    expect(job.facts).toMatchObject({ executor: 'docker', image: 'busybox:1' })
    expect(engine.left()).toEqual([])
  })

  it('gets sources, and keeps artifacts and caches, by the host, and lets nothing of the job in there', async () => {
    await using bench = await Bench.start({}, { git: { 'file.txt': 'from git', 'run.sh': 'echo "ran in $PWD"' } })
    const extra = {
      image: { name: 'busybox:1' },
      hooks: [
        { name: 'pre_get_sources_script', script: ['echo "before in $(pwd)"; ls -a $CI_PROJECT_DIR'] },
        { name: 'post_get_sources_script', script: ['cat $CI_PROJECT_DIR/file.txt; echo'] },
      ],
      artifacts: [
        { paths: ['$CI_PROJECT_DIR/out'], when: 'always', artifact_type: 'archive', artifact_format: 'zip' },
        { untracked: true, when: 'always', name: 'all', artifact_type: 'archive', artifact_format: 'zip' },
      ],
      cache: [{ key: 'k', paths: ['/builds/ops/demo/cached'], policy: 'pull-push' }],
    }
    const planted = bench.harness.file('planted')
    fs.writeFileSync(bench.harness.file('secret'), 'HOST_SECRET=of-the-host\n')
    const first = bench.add({
      // What git on the host would do with them is what must not be.
      variables: {
        GIT_STRATEGY: 'fetch',
        GIT_SSH_COMMAND: `touch ${planted}`,
        BASH_ENV: '/builds/ops/demo/run.sh',
        ENV: '/builds/ops/demo/run.sh',
        GIT_FETCH_EXTRA_FLAGS: '--multiple --quiet',
      },
      script: [
        'sh run.sh; mkdir out cached; echo kept > out/file; echo cached > cached/file; ln -s /etc out/link',
        `printf '[core]\\n\\tfsmonitor = touch ${planted}\\n' >> .git/config`,
        `rm -f $GITLAB_ENV; ln -s ${bench.harness.file('secret')} $GITLAB_ENV`,
      ],
      afterScript: ['echo "secret: $HOST_SECRET"'],
      extra,
    })
    expect(await first.finished(patienceMs), first.text).toMatchObject({ state: 'success' })
    for (const text of [
      'before in /builds\n',
      'from git\n',
      'ran in /builds/ops/demo\n',
      'secret: \n',
      'Created cache',
    ])
      expect(first.text).toContain(text)
    expect(first.text).toContain('options of git that this executor does not take: --multiple')
    expect(first.artifacts.map(({ filename }) => filename)).toEqual(['artifacts.zip', 'all.zip'])
    const second = bench.add({
      variables: { GIT_STRATEGY: 'fetch' },
      script: ['ls', 'cat cached/file', 'env | grep GIT_CONFIG'],
      extra,
    })
    expect(await second.finished(patienceMs), second.text).toMatchObject({ state: 'success' })
    expect(second.text).toContain('\ncached\n')
    expect(second.text).not.toContain('Created fresh repository')
    expect(fs.existsSync(planted)).toBe(false)
    expect(fs.statSync(path.join(bench.harness.workDir, 'builds')).mode & 0o777).toBe(0o700)
  })

  it('follows what a job says of its image, and what the runner’s settings say of containers', async () => {
    engine.image('shaped:1', {
      files: { 'bin/enter': '#!/bin/sh\nexport FROM_ENTRY=1\nexec "$@"\n' },
      changes: ['ENTRYPOINT ["/bin/enter"]'],
    })
    await using bench = await Bench.start({
      extra_hosts: ['other.host:192.0.2.7'],
      shm_size: '32m',
      memory: '64m',
      hostname: 'box',
      tmpfs: { '/scratch': 'rw,size=4m' },
      volumes: ['/kept', `${fs.realpathSync('/tmp')}:/host:ro`],
      network_mode: 'bridge',
    })
    const shaped = bench.add({
      script: [
        'echo "entered: $FROM_ENTRY at $(hostname) in $CI_DISPOSABLE_ENVIRONMENT"; grep other.host /etc/hosts',
        'df -k /dev/shm | awk \'NR==2 {print "shm " $2}\'; df -k /scratch | awk \'NR==2 {print "scratch " $2}\'',
        'echo kept > /kept/file; touch /host/x 2>/dev/null || echo read-only',
      ],
      extra: { image: { name: 'shaped:1' } },
    })
    const plain = bench.add({
      script: ['echo "entered: $FROM_ENTRY as $(id -u)"; echo mine > mine.txt; cat "$CI_PROJECT_DIR.tmp/NOTE"'],
      variables: { NOTE: { value: 'readable', file: true } },
      extra: { image: { name: 'shaped:1', entrypoint: [''], executor_opts: { docker: { user: 'app' } } } },
    })
    const greedy = bench.add({
      script: ['awk \'BEGIN { s = "0123456789"; while (1) s = s s }\''],
      extra: { image: { name: 'busybox:1' } },
    })
    expect(await shaped.finished(patienceMs), shaped.text).toMatchObject({ state: 'success' })
    expect(shaped.text).toMatch(
      /entered: 1 at box in true\n192.0.2.7\s+other.host\n.*\nshm 32768\nscratch 4096\n.*\nread-only\n/,
    )
    expect(await plain.finished(patienceMs), plain.text).toMatchObject({ state: 'success' })
    expect(plain.text).toContain('entered:  as 1000\nreadable')
    expect(await greedy.finished(patienceMs), greedy.text).toMatchObject({ state: 'failed', exitCode: 137 })
    expect(greedy.text).toContain('out of memory')
    const volumes = engine.left().sort()
    expect(volumes[0]).toMatch(/^runner-fakerunne-project-1-concurrent-0-cache-[0-9a-f]{32}$/)
    const later = bench.add({ script: ['cat /kept/file'], extra: { image: { name: 'busybox:1' } } })
    expect(await later.finished(patienceMs), later.text).toMatchObject({ state: 'success' })
    engine.podman('volume', 'rm', '-a')
  })

  it('starts services that the job finds by their names, and tells of one that does not come up', async () => {
    engine.image('group/web:2', {
      changes: [
        'EXPOSE 8080/tcp',
        'CMD ["sh", "-c", "sleep 0.3; mkdir /www; env > /www/env; exec httpd -f -p 8080 -h /www"]',
      ],
    })
    engine.image('broken:1', { changes: ['EXPOSE 99/tcp', 'CMD ["sh", "-c", "echo no luck; exit 3"]'] })
    await using bench = await Bench.start({ network_mode: undefined })
    const job = bench.add({
      variables: { OPEN: 'open-value', HIDDEN: { value: 'sesame-open', masked: true } },
      script: [
        'for name in web www group__web group-web; do wget -q -O $name http://$name:8080/env && echo "reached $name"; done',
        'grep -c sesame-open web || echo no secret; grep OWN= web; grep OPEN= web',
      ],
      extra: {
        image: { name: 'busybox:1' },
        services: [
          {
            name: 'group/web:2',
            alias: 'web,www',
            variables: [{ key: 'OWN', value: '$OPEN!' }],
          },
          { name: 'broken:1' },
        ],
      },
    })
    expect(await job.finished(patienceMs), job.text).toMatchObject({ state: 'success' })
    for (const name of ['web', 'www', 'group__web', 'group-web']) expect(job.text).toContain(`reached ${name}\n`)
    expect(job.text).toContain('no secret\nOWN=open-value!\nOPEN=open-value\n')
    expect(job.text).toMatch(
      /Service broken:1 probably did not start properly: it has ended with exit code 3.*no luck/s,
    )
    expect(engine.left()).toEqual([])
  })

  it('asks what runs to end, and kills what does not', async () => {
    await using bench = await Bench.start()
    const extra = { image: { name: 'busybox:1' } }
    const polite = bench.add({
      script: ["trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.1; done"],
      afterScript: ['echo "after $CI_JOB_STATUS"'],
      extra,
    })
    const rude = bench.add({ script: ["trap '' TERM; echo ready; while :; do sleep 0.1; done"], extra })
    await Promise.all([polite.says('ready\n', patienceMs), rude.says('ready\n', patienceMs)])
    bench.harness.box.cancel(polite, 'graceful', 60_000)
    bench.harness.box.cancel(rude, 'graceful', 200)
    await Promise.all([polite.finished(patienceMs), rude.finished(patienceMs)])
    expect(polite.text).toMatch(/bye\n.*after canceled\n/s)
    expect(rude.report).toMatchObject({ state: 'failed', failureReason: 'job_canceled' })
    expect(engine.left()).toEqual([])
  })

  it('says why an image cannot be had, and removes what a process before has left', async () => {
    await using bench = await Bench.start({
      allowed_images: ['busybox:*', 'gone:*'],
      pull_policy: ['never', 'if-not-present'],
    })
    const image = (name: string, more = {}) => bench.add({ extra: { image: { name, ...more } } })
    const cases: [FakeJob, string, string][] = [
      [
        image('gone:1', { pull_policy: ['never'] }),
        'image_pull_failure',
        'the image gone:1 is not on this host, and pull_policy is never',
      ],
      [
        image('busybox:1', { pull_policy: ['always'] }),
        'runner_configuration_error',
        'pull_policy [always] is not among those that this runner allows: [never, if-not-present]',
      ],
      [image('other:1'), 'runner_configuration_error', 'the image other:1 is not among those that this runner allows'],
      [image('../images/x'), 'runner_configuration_error', 'is not the name of an image'],
      [bench.add({}), 'runner_configuration_error', 'no image to run the job in'],
    ]
    for (const [job, reason, text] of cases) {
      expect(await job.finished(patienceMs), job.text).toMatchObject({ state: 'failed', failureReason: reason })
      expect(job.text).toContain(text)
    }
  })

  it('pulls from a registry as whom the job or the runner says, and tells a refusal', async () => {
    await using registry = await TestRegistry.start(engine)
    registry.push('busybox:1', 'team/tool:1')
    await using bench = await Bench.start({ pull_policy: 'always' })
    const image = { name: `${registry.address}/team/tool:1` }
    const auth = (password: string) =>
      JSON.stringify({ auths: { [registry.address]: { auth: Buffer.from(`me:${password}`).toString('base64') } } })
    const stranger = bench.add({ extra: { image } })
    const wrong = bench.add({ variables: { DOCKER_AUTH_CONFIG: auth('wrong') }, extra: { image } })
    const known = bench.add({ variables: { DOCKER_AUTH_CONFIG: auth(registry.password) }, extra: { image } })
    const credentials = [{ type: 'registry', url: registry.address, username: 'me', password: registry.password }]
    const given = bench.add({ extra: { image, credentials } })
    const absent = bench.add({ extra: { image: { name: `${registry.address}/team/absent:1` }, credentials } })
    for (const job of [stranger, wrong, absent]) {
      expect(await job.finished(patienceMs), job.text).toMatchObject({
        state: 'failed',
        failureReason: 'image_pull_failure',
      })
      expect(job.text).toMatch(/cannot pull the image .*(unauthorized|authentication required|manifest unknown)/)
    }
    for (const job of [known, given])
      expect(await job.finished(patienceMs), job.text).toMatchObject({ state: 'success' })
    expect(known.text).toContain('Authenticating with credentials from $DOCKER_AUTH_CONFIG')
    expect(known.text).not.toContain(registry.password)
  })
})

class Bench {
  #git = {}

  private constructor(readonly harness: Harness) {}

  /** `git`: the files of the repository of all jobs. */
  static async start(
    config: Record<string, unknown> = {},
    { git }: { git?: Record<string, string> } = {},
  ): Promise<Bench> {
    const harness = await Harness.start('websocket')
    const bench = new Bench(harness)
    if (git !== undefined) {
      harness.box.git = new GitServer(harness.file('git'), () => harness.box.jobs.map((job) => job.token))
      const [sha] = harness.box.git.create('ops/demo.git', [git])
      bench.#git = {
        git_info: {
          repo_url: `${harness.box.http}/ops/demo.git`,
          ref: 'main',
          sha,
          refspecs: ['+refs/heads/main:refs/remotes/origin/main'],
          depth: 0,
        },
      }
    }
    await harness.runner({
      executor: { name: 'docker', executor: executorWith(harness, config), host: harness.shell() },
      concurrency: 5,
      cacheDir: harness.file('caches'),
    })
    return bench
  }

  add(spec: Parameters<Harness['box']['add']>[0]): FakeJob {
    return this.harness.box.add({ ...spec, extra: { ...this.#git, ...spec?.extra } })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.harness[Symbol.asyncDispose]()
  }
}

function executorWith(harness: Harness, config: Record<string, unknown>): Executor {
  let executor: Executor | undefined
  const host = { executor: (_name: string, given: Executor) => (executor = given) } as unknown as PluginHost
  const given = {
    host: engine.host,
    pull_policy: 'if-not-present',
    network_mode: 'none',
    ...config,
  }
  const instance = docker.setup(host, configOf(docker, given) as never)
  if (instance !== undefined && 'close' in instance) harness.onClose(() => instance.close?.())
  return executor!
}
