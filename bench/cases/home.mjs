// The whole process of `signalbox run` and `signalbox run --list`, beside gitlab-ci-local where it is installed.
import { execFile, execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { here, inFolder, nowUs, repeat, scaled } from '../lib.mjs'
import { bigConfig } from '../product/big-config.mjs'

const program = path.join(here, '..', 'dist', 'cli', 'main.js')
const small =
  'stages: [a, b, c]\none: {stage: a, script: "true"}\ntwo: {stage: b, script: "true"}\nthree: {stage: b, script: "true"}\nfour: {stage: c, script: "true"}\n'

export async function* measure() {
  yield {
    figure: 'signalbox run of four trivial jobs in three stages, whole process',
    unit: 's',
    ours: await timed(small, process.execPath, [program, 'run']),
    floor: await peer(small, []),
    against: 'gitlab-ci-local',
    bar: 1.2,
    stretch: 0.8,
  }
  const big = bigConfig(scaled(1000, 50))
  yield {
    figure: 'signalbox run --list of a 1,000-job file, whole process',
    unit: 's',
    ours: await timed(big, process.execPath, [program, 'run', '--list', '--json']),
    floor: await peer(big, ['--list-json']),
    against: 'gitlab-ci-local --list-json',
    bar: 0.4,
    stretch: 0.2,
  }
}

function timed(config, command, args) {
  return inFolder(async (dir) => {
    writeFileSync(path.join(dir, '.gitlab-ci.yml'), config)
    const git = (...rest) => execFileSync('git', ['-c', 'user.name=b', '-c', 'user.email=b@b', ...rest], { cwd: dir })
    git('init', '-q', '-b', 'main')
    git('add', '-A')
    git('commit', '-q', '-m', 'x')
    const once = () =>
      new Promise((resolve, reject) => {
        const started = nowUs()
        execFile(command, args, { cwd: dir, maxBuffer: 64 * 1024 * 1024 }, (error) =>
          error ? reject(error) : resolve((nowUs() - started) / 1e6),
        )
      })
    await once()
    return repeat(once)
  })
}

/** gitlab-ci-local by the path in GITLAB_CI_LOCAL, or on the PATH; undefined where it is not installed. */
async function peer(config, args) {
  const command = process.env.GITLAB_CI_LOCAL ?? 'gitlab-ci-local'
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  return timed(config, command, args)
}
