import { expect, test } from 'vitest'
import type { TransportName } from '../../../src/runner/transports/transport.js'
import { Harness } from '../support/harness.js'

/** That files travel from one job to the next. */
export function artifactContract(transport: TransportName): void {
  test('artifacts come out of another job as they went in, whatever they are called', async () => {
    await using harness = await Harness.start(transport)
    const names = [
      'plain.txt',
      'with space.txt',
      'quote\'d "name".txt',
      'ünïcödé-日本.txt',
      '-dash',
      '[a]*?{b}',
      '.hidden',
    ]
    const quoted = names.map((name) => `'out/${name.replaceAll("'", "'\\''")}'`)
    const maker = harness.box.add({
      script: [
        'mkdir -p out/deep/er out/empty',
        ...quoted.map((name) => `printf '%s' ${name} > ${name}`),
        'head -c 300000 /dev/urandom > out/deep/er/random.bin && cp out/deep/er/random.bin ../random.bin',
        'printf "#!/bin/sh\\necho runs\\n" > out/run.sh && chmod 755 out/run.sh',
        'ln -s plain.txt out/link',
        'echo no > out/deep/left-out.log',
      ],
      extra: {
        artifacts: [
          {
            name: 'all of it',
            paths: ['out/'],
            exclude: ['**/*.log'],
            artifact_type: 'archive',
            artifact_format: 'zip',
            expire_in: '1 week',
          },
        ],
      },
    })
    const runner = await harness.runner({ concurrency: 1 })
    expect(await maker.finished()).toMatchObject({ state: 'success' })
    expect(maker.artifacts).toMatchObject([{ filename: 'all of it.zip', type: 'archive', expireIn: '1 week' }])
    const taker = harness.box.add({
      variables: { GIT_STRATEGY: 'empty' },
      script: [
        ...quoted.map((name) => `test "$(cat ${name})" = ${name}`),
        'cmp out/deep/er/random.bin ../random.bin || cmp out/deep/er/random.bin ../demo/../random.bin',
        'test "$(./out/run.sh)" = runs',
        'test -L out/link && test "$(cat out/link)" = out/plain.txt',
        'test -d out/empty',
        'test ! -e out/deep/left-out.log',
      ],
      extra: {
        dependencies: [
          { id: maker.id, name: 'maker', token: maker.token, artifacts_file: { filename: 'all.zip', size: 1 } },
          { id: maker.id, name: 'none', token: maker.token },
        ],
      },
    })
    const report = await taker.finished()
    expect(taker.text).toContain('Downloading artifacts for maker (1)...')
    expect(report, taker.text).toMatchObject({ state: 'success' })
    await runner.event('job.reported', ({ jobId }) => jobId === taker.id)
  })
}
