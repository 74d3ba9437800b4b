/** The linter. */
import { SignalboxError } from '../../core/errors.js'
import { type LintInput, lintConfig } from '../../core/operations/lint-config.js'
import type { Reply, Route } from '../../http/call.js'
import { type ProjectCall, projectRoute } from '../call.js'
import { toLint, toMissing } from '../convert/lint.js'

const longestContent = 2 * 1024 * 1024

export const lintRoutes: readonly Route[] = [
  projectRoute('get', '/projects/:id/ci/lint', { deed: 'operate' }, (call) =>
    lint(call, textOf(call, 'content_ref') ?? textOf(call, 'sha') ?? dryRunRef(call)),
  ),
  projectRoute('post', '/projects/:id/ci/lint', { deed: 'operate' }, (call) =>
    lint(call, dryRunRef(call), call.params.text('content', { max: longestContent }) ?? ''),
  ),
]

function dryRunRef(call: ProjectCall): string | undefined {
  return textOf(call, 'dry_run_ref') ?? textOf(call, 'ref')
}

function textOf({ params }: ProjectCall, name: string): string | undefined {
  return params.text(name, { max: 1024 }) || undefined
}

/** A file that is wrong is a result like any other: 200 and `valid: false`. */
async function lint(call: ProjectCall, ref: string | undefined, content?: string): Promise<Reply> {
  const { core, project, actor, params } = call
  const input: LintInput = {
    project,
    user: actor?.user ?? null,
    dryRun: params.boolean('dry_run') ?? false,
    ...(ref === undefined ? {} : { ref }),
    ...(content === undefined ? {} : { content }),
  }
  try {
    const result = await lintConfig(core, input)
    return { status: 200, body: toLint(result, { jobs: params.boolean('include_jobs') ?? false }) }
  } catch (error) {
    if (!(error instanceof SignalboxError) || error.code !== 'not_found') throw error
    return { status: 200, body: toMissing(error.message) }
  }
}
