/** `signalbox run` with a container engine, and without one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { skipsWithoutEngine, TestEngine } from '../support/engine.js'
import { Folder } from '../support/run-folder.js'

const skipped = skipsWithoutEngine('signalbox run in containers')
let engine: TestEngine
beforeAll(async () => {
  if (!skipped) engine = await TestEngine.start()
}, 120_000)
afterAll(async () => engine?.close(), 60_000)

const pipeline = {
  contained: {
    image: 'busybox:1',
    services: [{ name: 'web:1', alias: 'site' }],
    script: ['wget -q -O - http://site:8080/; cat file.txt; pwd; echo made > made.txt'],
    artifacts: { paths: ['made.txt'] },
  },
  plain: {
    needs: ['contained'],
    script: ['cat made.txt; test -x /bin/busybox || echo on the host; git log --oneline | wc -l'],
  },
}

describe.skipIf(skipped)('with an engine', { timeout: 180_000 }, () => {
  it('runs jobs that have an image in containers, the others here', async () => {
    engine.image('web:1', {
      files: { 'www/index.html': 'served\n' },
      changes: ['EXPOSE 8080/tcp', 'CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]'],
    })
    using folder = new Folder()
    await folder.write({ '.gitlab-ci.yml': pipeline, 'file.txt': 'from the tree\n' }).commit()
    folder.write({ 'file.txt': 'changed since\n' })
    const { code, stdout, stderr } = await folder.runWith({ DOCKER_HOST: engine.host })
    expect(stderr).toContain('pipeline ✓ success')
    expect(code).toBe(0)
    expect(stderr).not.toContain('warning')
    expect(stdout).toContain('contained | served\n')
    expect(stdout).toContain('contained | changed since\n')
    expect(stdout).toMatch(/contained \| \/builds\/\S+\n/)
    expect(stdout).toContain('plain | made\n')
    expect(engine.left()).toEqual([])
  })
})

describe('without an engine', () => {
  const env = { DOCKER_HOST: 'unix:///nowhere/engine.sock' }

  it('runs all jobs here, and warns once', async () => {
    using folder = new Folder()
    const job = { image: 'busybox:1', services: ['web:1'], script: ['echo here'] }
    await folder.write({ '.gitlab-ci.yml': { one: job, two: job } }).commit()
    const { code, stdout, stderr } = await folder.runWith(env)
    expect(code).toBe(0)
    expect(stdout).toContain('one | here\n')
    expect(stderr.match(/warning: .*engine.*/g)).toEqual([
      'warning: no container engine is used: jobs with an image run in this machine’s shell, and services are not started',
    ])
  })

  it('refuses to run in containers that cannot be had', async () => {
    using folder = new Folder()
    await folder.write({ '.gitlab-ci.yml': { one: { script: ['true'] } } }).commit()
    const { code, stderr } = await folder.runWith(env, '--executor', 'docker')
    expect(code).toBe(2)
    expect(stderr).toContain(
      '--executor docker: no container engine answers: the engine at unix:///nowhere/engine.sock',
    )
  })
})
