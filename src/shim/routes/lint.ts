/** The linter: https://docs.gitlab.com/api/lint/ */
import { SignalboxError } from '../../core/errors.js'
import { type LintInput, lintConfig } from '../../core/operations/lint-config.js'
import type { Reply, Route } from '../../http/call.js'
import { type ProjectCall, projectRoute } from '../call.js'
import { toLint, toMissing } from '../convert/lint.js'

/** What a file may have anywhere: GitLab's `max_yaml_size_bytes`. */
const longestContent = 2 * 1024 * 1024
/** JSON that escapes all but ASCII writes six bytes for two. */
const bodyBytes = 3 * longestContent + 64 * 1024

export const lintRoutes: readonly Route[] = [
  projectRoute('get', '/projects/:id/ci/lint', { deed: 'operate' }, (call) =>
    lint(call, {
      ...optional('contentRef', textOf(call, 'content_ref') ?? textOf(call, 'sha')),
      ...optional('ref', textOf(call, 'dry_run_ref') ?? textOf(call, 'ref')),
    }),
  ),
  projectRoute('post', '/projects/:id/ci/lint', { deed: 'operate', bodyBytes }, (call) =>
    lint(call, {
      content: contentOf(call),
      ...optional('ref', textOf(call, 'ref') ?? textOf(call, 'dry_run_ref')),
    }),
  ),
]

function contentOf({ params }: ProjectCall): string {
  const content = params.text('content', { max: bodyBytes }) ?? ''
  if (Buffer.byteLength(content) <= longestContent) return content
  throw new SignalboxError('too_large', `content may have ${longestContent} bytes`)
}

function textOf({ params }: ProjectCall, name: string): string | undefined {
  return params.text(name, { max: 1024 }) || undefined
}

function optional<Key extends string>(key: Key, value: string | undefined): { [key in Key]?: string } {
  return value === undefined ? {} : ({ [key]: value } as { [key in Key]: string })
}

/** A file that is wrong is a result like any other: 200 and `valid: false`. */
async function lint(call: ProjectCall, what: Pick<LintInput, 'content' | 'contentRef' | 'ref'>): Promise<Reply> {
  const { access, core, project, actor, params } = call
  const jobs = params.boolean('include_jobs') ?? false
  const dryRun = params.boolean('dry_run') ?? false
  try {
    const user = actor?.user ?? null
    const result = await access.lintFor(actor, () => lintConfig(core, { project, user, dryRun, ...what }))
    return { status: 200, body: toLint(project, result, { jobs, dryRun }) }
  } catch (error) {
    if (!(error instanceof SignalboxError) || error.code !== 'not_found') throw error
    return { status: 200, body: toMissing(error.message) }
  }
}
