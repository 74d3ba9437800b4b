/** What a runner does about itself: register, verify, change its token, leave. */
import { contactRunner } from '../../core/operations/contact-runner.js'
import { deleteManager, deleteRunner } from '../../core/operations/delete-runner.js'
import { registerRunner } from '../../core/operations/register-runner.js'
import { resetRunnerToken } from '../../core/operations/update-runner.js'
import type { Runner } from '../../core/runner.js'
import { runnerScope } from '../../core/store/runners.js'
import { addressOf } from '../../http/access.js'
import type { Call, Reply, Route } from '../../http/call.js'
import { refined } from '../../http/errors.js'
import { tokenRoute } from '../call.js'
import { fromInfo } from '../convert/manager.js'
import { fromRunnerSettings, toRunnerToken } from '../convert/runner.js'

export const registrationRoutes: readonly Route[] = [
  tokenRoute('post', '/runners', register),
  tokenRoute('delete', '/runners', unregister),
  tokenRoute('post', '/runners/verify', verify),
  tokenRoute('delete', '/runners/managers', unregisterManager),
  tokenRoute('post', '/runners/reset_authentication_token', resetToken),
]

async function register({ core, access, req, params }: Call): Promise<Reply> {
  access.countRegistration(req)
  const registrationToken = params.requiredText('token', { max: 512 })
  const settings = fromRunnerSettings(params)
  const { runner, token } = await access.checkRegistration(req, () => registerRunner(core, registrationToken, settings))
  return { status: 201, body: toRunnerToken(runner, token) }
}

async function unregister(call: Call): Promise<Reply> {
  await deleteRunner(call.core, (await runnerOf(call)).id)
  return { status: 204 }
}

/**
 * A runner that registers reads its own id here; the manager that asks is on record from now on. One whose projects or
 * groups are all deleted is told so: GitLab Runner keeps such a token, and does not register with it.
 */
async function verify(call: Call): Promise<Reply> {
  const { core, req, params } = call
  const runner = await runnerOf(call)
  if (runner.type !== 'instance') {
    const { projectIds, groupIds } = await runnerScope(core.store.read, runner.id)
    if (projectIds.length + groupIds.length === 0) throw refined('invalid', 'unprocessable', 'the runner is orphaned')
  }
  await contactRunner(core, runner, fromInfo(params, addressOf(req)))
  return { status: 200, body: toRunnerToken(runner, givenToken(call)) }
}

async function unregisterManager(call: Call): Promise<Reply> {
  const systemId = call.params.requiredText('system_id', { max: 64 })
  await deleteManager(call.core, (await runnerOf(call)).id, systemId)
  return { status: 204 }
}

async function resetToken(call: Call): Promise<Reply> {
  const { runner, token } = await resetRunnerToken(call.core, (await runnerOf(call)).id)
  return { status: 201, body: toRunnerToken(runner, token) }
}

function runnerOf({ access, req, params }: Call): Promise<Runner> {
  return access.runner(req, params.text('token'))
}

/** The token that the runner has proved to know. */
function givenToken({ req, params }: Call): string {
  return params.text('token') || String(req.headers['runner-token'])
}
