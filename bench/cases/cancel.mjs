// From the request to cancel a job until its process is gone, with the reference runner on a live stream.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { child, here, inFolder, percentile, runs, scaled, sleep, summary } from '../lib.mjs'

const jobs = scaled(10, 2)
const program = path.join(here, '..', 'dist', 'bundle', 'main.js')

export async function* measure() {
  yield {
    figure: 'cancel → process stopped, p99, live stream',
    unit: 'ms',
    ours: await inFolder(product),
    bar: 500,
    stretch: 200,
  }
}

async function product(dir) {
  const config = JSON.stringify({
    job: {
      parallel: jobs,
      script: [`echo $$ > ${dir}/$CI_JOB_ID.pid; exec sleep 600`],
      variables: { GIT_STRATEGY: 'none' },
    },
  })
  const server = child('product/server.mjs')
  const { http, token } = await server.ask('start', { dir })
  const [made] = await server.ask('runners', { count: 1 })
  const project = await server.ask('project', { name: 'cancel', config })
  const runner = spawn(
    process.execPath,
    [
      program,
      'runner',
      'start',
      '--url',
      http,
      '--token',
      made.token,
      '--concurrency',
      String(jobs),
      '--work-dir',
      `${dir}/work`,
    ],
    { stdio: 'ignore' },
  )
  const call = async (method, where) =>
    (await fetch(`${http}/api/v4${where}`, { method, headers: { 'PRIVATE-TOKEN': token } })).json()
  const worst = []
  for (let i = 0; i < runs + 1; i++) {
    const { id } = await call('POST', `/projects/${project}/pipeline?ref=main`)
    const began = await call('GET', `/projects/${project}/pipelines/${id}/jobs`)
    const samples = []
    for (const job of began) {
      const file = path.join(dir, `${job.id}.pid`)
      while (!existsSync(file) || readFileSync(file, 'utf8').trim() === '') await sleep(10)
      const pid = Number(readFileSync(file, 'utf8'))
      const started = performance.now()
      await call('POST', `/projects/${project}/jobs/${job.id}/cancel`)
      while (isAlive(pid)) await sleep(1)
      samples.push(performance.now() - started)
    }
    if (i > 0) worst.push(percentile(samples, 0.99))
  }
  runner.kill('SIGKILL')
  await server.ask('stop')
  await server.stop()
  return summary(worst)
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
