import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import type { CompileResult, IncludeAnswer, IncludeRequest } from '../../../src/core/ci-config/compilation.js'
import { compileConfig } from '../../../src/core/ci-config/compile.js'

/**
 * Real files that gitlab-ci-local runs in its tests. Each compiles, unless the table says what must be told instead: most
 * of those are wrong on purpose, as their names say; for the others the table gives the reason.
 */
const corpus = fileURLToPath(new URL('../../../../shared/corpus/gitlab-ci-local/', import.meta.url))
const hasCorpus = existsSync(corpus)
const inputs = 'include-inputs/input-templates/'

const refused: Record<string, RegExp> = {
  // The peer only checks that such a key makes no bad volume name; GitLab refuses slashes.
  'cache-docker-mount/.gitlab-ci.yml': /cache:key .*slash/,
  'cache-paths-not-array/.gitlab-ci.yml': /cache:paths .*list of strings/,
  'dependencies-not-found/.gitlab-ci.yml': /undefined dependency: invalid/,
  'include-invalid-remote/.gitlab-ci.yml': /could not be fetched/,
  'include-nested/.151-complex-nested-include-gitlab-ci.yml': /Maximum of 150/,
  'include-nested/.151-nested-include-gitlab-ci.yml': /Maximum of 150/,
  'invalid-stages/.gitlab-ci.yml': /stages .*list of strings/,
  'needs-contains-dependencies/.gitlab-ci.yml': /dependencies two should be part of needs/,
  'needs-invalid-stage/.gitlab-ci.yml': /not defined in current or prior stages/,
  'needs-not-array/.gitlab-ci.yml': /needs must be a list/,
  // Both select by some of the variables of a matrix, which GitLab does not: names are made of all of them.
  'needs-parallel-matrix-expressions/.gitlab-ci.yml': /undefined need: linux:build: \[aws\]/,
  'needs-parallel-matrix-static/.gitlab-ci.yml': /undefined need: build-multi: \[x64\]/,
  'needs-parallel-matrix-expressions-unknown-identifier/.gitlab-ci.yml': /'NOPE' does not exist in matrix/,
  'needs-unspecified-job/.gitlab-ci.yml': /undefined need: invalid/,
  'rules-blank/.gitlab-ci.yml': /rules must have at least 1 item/,
  'rules-curly-bracket-if/.gitlab-ci.yml': /invalid expression syntax/,
  'schema-validation/.gitlab-ci-4-errors.yml': /variables must be a map/,
  'schema-validation/.gitlab-ci-5-errors.yml': /variables must be a map/,
  'schema-validation/.gitlab-ci-6-errors.yml': /variables must be a map/,
  'schema-validation/.gitlab-ci.yml': /when must be one of/,
  'self-dependency/.gitlab-ci.yml': /self-dependency/,
  // The peer steps into lists by index, GitLab through maps only.
  'services/.gitlab-ci.yml': /!reference "0" is not valid/,
  // `never` belongs into rules; the peer takes it for jobs, too.
  'when/.gitlab-ci.yml': /unknown value "never"/,
  // Parts of other files, without a job of their own.
  'preview/.gitlab-ci-base.yml': /at least one visible job/,
  'reference/.gitlab-ci-base.yml': /at least one visible job/,
  'reference/.gitlab-ci-issue-899-base.yml': /at least one visible job/,
  'reference/.gitlab-ci-issue-899-other.yml': /at least one visible job/,
  'reference/.gitlab-ci-11-level-deep.yml': /nested at most 10 levels/,
  [`${inputs}options-array1-validation/.gitlab-ci.yml`]: /options can be used with strings and numbers only/,
  [`${inputs}options-array2-validation/.gitlab-ci.yml`]: /options can be used with strings and numbers only/,
  [`${inputs}options-validation/.gitlab-ci.yml`]: /not in the list of allowed options/,
  [`${inputs}regex-validation-invalid-pattern/.gitlab-ci.yml`]: /invalid regular expression/,
  [`${inputs}regex-validation/.gitlab-ci.yml`]: /does not match the RegEx pattern/,
  [`${inputs}required-inputs/.gitlab-ci.yml`]: /required value has not been provided/,
  [`${inputs}too-many-functions-in-interpolation-block/.gitlab-ci.yml`]: /too many functions/,
  [`${inputs}type-validation/array/.gitlab-ci.yml`]: /not an array/,
  // type-validation/boolean and number are taken: GitLab reads "true" and "1" as JSON where such a value is wanted.
  [`${inputs}type-validation/unsupported/.gitlab-ci.yml`]: /must be one of string, number, boolean, array/,
  [`${inputs}unknown-interpolation-key-1/.gitlab-ci.yml`]: /unknown interpolation key/,
  [`${inputs}unknown-interpolation-key-2/.gitlab-ci.yml`]: /unknown interpolation key/,
}

/** Content of other projects and of the web, which the corpus keeps beside the files that include it. */
const elsewhere: Record<string, string> = {
  'firecow/gitlab-ci-local-includes:.gitlab-module-with-local.yml':
    'include-project-file-ref-with-inner-local/mock-gitlab-module-with-local.yml',
  'firecow/gitlab-ci-local-includes:.gitlab-local.yml':
    'include-project-file-ref-with-inner-local/mock-gitlab-local.yml',
  'test-group/gitlab-ci-local-test:test-file.yml': 'include-project-file-with-variable/mock-test-file.yml',
  'https://gitlab.com/firecow/gitlab-ci-local-includes/-/raw/master/.gitlab-http.yml': 'include-remote/remote-mock.yml',
  'https://gitlab.com/firecow/gitlab-ci-local-includes/-/raw/master/.gitlab-http1.yml':
    'include-remote/remote-mock1.yml',
}

const variables = Object.entries({
  GITLAB_CI: 'true',
  CI_SERVER_HOST: 'host',
  CI_PROJECT_PATH: 'group/project',
  CI_COMMIT_SHA: 'main',
  FILE_NAME: 'test-file',
}).map(([key, value]) => ({ key, value }))

function files(): string[] {
  if (!hasCorpus) return []
  return readdirSync(corpus, { recursive: true, encoding: 'utf8' })
    .filter((file) => /(?:^|\/)\.(?:gitlab-ci|15\d).*\.yml$/.test(file) && !file.endsWith('-input-template.yml'))
    .toSorted()
}

async function compileFile(file: string): Promise<CompileResult> {
  const folder = dirname(join(corpus, file))
  const read = (path: string): IncludeAnswer =>
    existsSync(path) ? { ok: true, content: readFileSync(path, 'utf8') } : { ok: false, reason: 'does not exist' }
  const fetchFile = (request: IncludeRequest): IncludeAnswer => {
    if (request.kind === 'local' && request.project === undefined) return read(join(folder, request.path))
    if (request.kind === 'component') {
      const name = /\/([^/@]+)@/.exec(request.component)?.[1] ?? ''
      return read(join(folder, 'templates', `${name}.yml`))
    }
    if (request.kind === 'template' || request.kind === 'artifact') return { ok: false, reason: 'could not be fetched' }
    const name = request.kind === 'remote' ? request.url : `${request.project ?? ''}:${request.path}`
    const known = elsewhere[name]
    return known === undefined ? { ok: false, reason: 'could not be fetched' } : read(join(corpus, known))
  }
  return compileConfig(readFileSync(join(corpus, file), 'utf8'), {
    fetchInclude: async (request) => fetchFile(request),
    listFiles: async () => readdirSync(folder, { recursive: true, encoding: 'utf8' }),
    variables,
  })
}

describe.skipIf(!hasCorpus)('files of gitlab-ci-local (needs ../shared/corpus)', () => {
  test.each(files())('%s', async (file) => {
    const result = await compileFile(file)
    const told = result.ok ? '' : result.errors.map(({ path, message }) => `${path} ${message}`).join('\n')
    const expected = refused[file]
    if (expected === undefined) expect(told).toBe('')
    else expect(told).toMatch(expected)
    if (!result.ok) for (const error of result.errors) expect(error.line).toBeGreaterThan(0)
  })

  test('every refusal told of is in the corpus', () => {
    expect(Object.keys(refused).filter((file) => !files().includes(file))).toEqual([])
  })
})
