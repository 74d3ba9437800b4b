/** The commands of the training document on the life of a job, word for word, and a shell that runs them. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Runs lines of shell as the document has them, against `url`, with its variables in the environment. */
export async function shell(
  url: string,
  script: string,
  env: Record<string, string>,
): Promise<{ head: string; payload: string }> {
  const cwd = await mkdtemp(path.join(os.tmpdir(), 'signalbox-curl-'))
  try {
    const text = script.replaceAll('https://$GITLAB_HOSTNAME', '$GITLAB_URL')
    const { stderr } = await run('bash', ['--norc', '-c', text], {
      cwd,
      env: { PATH: process.env.PATH ?? '', GITLAB_URL: url, ...env },
    })
    return { head: stderr, payload: await readFile(path.join(cwd, 'payload.json'), 'utf8').catch(() => '') }
  } finally {
    await rm(cwd, { recursive: true, force: true })
  }
}

/** The status of the answer that `curl -v` tells of. */
export function statusOf(head: string): number {
  return Number(/< HTTP\/1\.1 (\d+)/.exec(head)?.[1])
}

export const commands = {
  request: `curl -X POST \\
    "https://$GITLAB_HOSTNAME/api/v4/jobs/request" \\
    -d "token=$RUNNER_TOKEN" \\
    -v > "payload.json"`,
  trace: `trace_message="Hello! This is a job log update from the Runner."
    content_size=\${#trace_message}
    content_range=0-$(($content_size-1))

    curl -X PATCH \\
    "https://$GITLAB_HOSTNAME/api/v4/jobs/$job_id/trace" \\
    -H "Content-Range:$content_range" \\
    -H "Job-Token:$JOB_TOKEN" \\
    -d "$trace_message" \\
    -v`,
  finish: `state="failed"
    failure_reason="script_failure"

    curl -X PUT \\
    "https://$GITLAB_HOSTNAME/api/v4/jobs/$job_id" \\
    -d "token=$JOB_TOKEN" \\
    -d "state=failed" \\
    -d "failure_reason=script_failure" \\
    -d "exit_code=1" \\
    -v`,
}
