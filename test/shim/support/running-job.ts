import { type Answer, oneJob, type Sent, type ShimBox } from './box.js'

/** A job that a runner of its own has been given, as that runner sees it. */
export class RunningJob {
  readonly box: ShimBox
  readonly id: number
  readonly token: string
  readonly projectId: number
  readonly runnerToken: string

  constructor(box: ShimBox, fields: { id: number; token: string; projectId: number; runnerToken: string }) {
    this.box = box
    this.id = fields.id
    this.token = fields.token
    this.projectId = fields.projectId
    this.runnerToken = fields.runnerToken
  }

  patch(range: string | undefined, data: string | Uint8Array, sent: Sent = {}): Promise<Answer> {
    return this.box.send('PATCH', `/jobs/${this.id}/trace?debug_trace=false`, {
      body: data,
      ...sent,
      headers: {
        'Content-Type': 'text/plain',
        'JOB-TOKEN': this.token,
        ...(range === undefined ? {} : { 'Content-Range': range }),
        ...sent.headers,
      },
    })
  }

  put(update: Record<string, unknown>, token = this.token): Promise<Answer> {
    return this.box.send('PUT', `/jobs/${this.id}`, { json: { token, ...update }, headers: { 'JOB-TOKEN': token } })
  }

  upload(
    file: string | Uint8Array,
    options: {
      query?: string
      name?: string
      filename?: string
      token?: string
      /** Fields of the form, before the file and behind it. */
      before?: Record<string, string>
      behind?: Record<string, string>
    } = {},
  ) {
    const form = new FormData()
    for (const [name, value] of Object.entries(options.before ?? {})) form.append(name, value)
    form.append(options.name ?? 'file', new Blob([file as string]), options.filename ?? 'artifacts.zip')
    for (const [name, value] of Object.entries(options.behind ?? {})) form.append(name, value)
    return this.box.send('POST', `/jobs/${this.id}/artifacts${options.query ?? ''}`, {
      body: form,
      headers: { 'JOB-TOKEN': options.token ?? this.token },
    })
  }

  download(token = this.token, headers: Record<string, string> = {}): Promise<Answer> {
    return this.box.send('GET', `/jobs/${this.id}/artifacts?direct_download=true`, {
      headers: { 'JOB-TOKEN': token, ...headers },
    })
  }

  async status(): Promise<string> {
    return (await this.box.job(this.id)).status
  }
}

let count = 0

/** Starts a pipeline of one job in a project of its own and gives the job to a runner of its own. */
export async function startJob(
  box: ShimBox,
  options: { config?: object; poll?: Record<string, unknown>; runner?: object; path?: string } = {},
): Promise<RunningJob> {
  const path = options.path ?? `acme/app-${++count}`
  const { project } = await box.run(options.config ?? oneJob, path)
  const { token } = await box
    .admin('POST', '/user/runners', {
      json: { runner_type: 'project_type', project_id: project.id, ...options.runner },
    })
    .then((answer) => answer.body)
  return takeJob(box, project.id, token, options.poll)
}

/** Gives the next job to a runner. */
export async function takeJob(
  box: ShimBox,
  projectId: number,
  runnerToken: string,
  poll: Record<string, unknown> = {},
): Promise<RunningJob> {
  const { body } = await box.poll(runnerToken, poll)
  return new RunningJob(box, { id: body.id, token: body.token, projectId, runnerToken })
}
