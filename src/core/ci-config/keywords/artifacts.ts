/** What jobs leave behind: artifacts, reports and caches. */
import type { PlanCache } from '../job-definition.js'
import { limits } from '../limits.js'
import {
  boolean,
  checked,
  choice,
  either,
  flattened,
  keyword,
  list,
  mapped,
  record,
  required,
  type Shape,
  text,
  type ValueOf,
} from '../shape.js'
import { duration, textOrTexts, texts } from './parts.js'

/** How a runner packs a report. */
export type ReportFormat = 'gzip' | 'zip' | 'raw'

/**
 * Report types with format and name of the stored file (lib/gitlab/ci/config/entry/reports.rb,
 * app/models/ci/job_artifact.rb: DEFAULT_FILE_NAMES, TYPE_AND_FORMAT_PAIRS).
 */
export const reportTypes: Readonly<Record<string, readonly [ReportFormat, string]>> = {
  accessibility: ['raw', 'gl-accessibility.json'],
  annotations: ['gzip', 'gl-annotations.json'],
  api_fuzzing: ['raw', 'gl-api-fuzzing-report.json'],
  browser_performance: ['raw', 'browser-performance.json'],
  cluster_image_scanning: ['raw', 'gl-cluster-image-scanning-report.json'],
  codequality: ['raw', 'gl-code-quality-report.json'],
  container_scanning: ['raw', 'gl-container-scanning-report.json'],
  coverage_fuzzing: ['raw', 'gl-coverage-fuzzing.json'],
  cyclonedx: ['gzip', 'gl-sbom.cdx.json'],
  dast: ['raw', 'gl-dast-report.json'],
  dependency_scanning: ['raw', 'gl-dependency-scanning-report.json'],
  dotenv: ['gzip', '.env'],
  junit: ['gzip', 'junit.xml'],
  license_scanning: ['raw', 'gl-license-scanning-report.json'],
  load_performance: ['raw', 'load-performance.json'],
  lsif: ['zip', 'lsif.json'],
  metrics: ['gzip', 'metrics.txt'],
  performance: ['raw', 'performance.json'],
  repository_xray: ['gzip', 'gl-repository-xray.json'],
  requirements: ['raw', 'requirements.json'],
  requirements_v2: ['raw', 'requirements_v2.json'],
  sarif: ['raw', 'gl-sarif-report.sarif'],
  sast: ['raw', 'gl-sast-report.json'],
  secret_detection: ['raw', 'gl-secret-detection-report.json'],
  terraform: ['raw', 'tfplan.json'],
}

/** The coverage report is stored under the name of its format. */
export const coverageFormats: Readonly<Record<string, readonly [ReportFormat, string]>> = {
  cobertura: ['gzip', 'cobertura-coverage.xml'],
  jacoco: ['gzip', 'jacoco-coverage.xml'],
}

const coverageReport = record({
  coverage_format: required(choice('cobertura', 'jacoco'), 'How the report is written.'),
  path: required(text({ filled: true }), 'The report.'),
})

const pathReports: Record<string, { shape: typeof textOrTexts }> = Object.fromEntries(
  Object.keys(reportTypes).map((type) => [type, keyword(textOrTexts, `Files of the ${type} report.`)]),
)

const reports = record(
  { ...pathReports, coverage_report: keyword(coverageReport, 'The coverage of the code, shown in differences.') },
  { mayBeEmpty: true },
)

/** The keyword `artifacts`: https://docs.gitlab.com/ci/yaml/#artifacts */
export const artifacts = checked(
  record(
    {
      paths: keyword(texts, 'Files and directories to keep.'),
      exclude: keyword(texts, 'Files that are not kept after all.'),
      untracked: keyword(boolean(), 'Whether files that git does not track are kept.'),
      name: keyword(text(), 'Name of the archive.'),
      when: keyword(choice('on_success', 'on_failure', 'always'), 'After what end of the job they are kept.'),
      expire_in: keyword(duration(undefined, { never: true }), 'How long they are kept.'),
      expose_as: keyword(
        text({ max: 100, pattern: /^\w[-\w ]*$/, says: 'letters, digits, blanks, "-" and "_"' }),
        'Name of the link in the merge request.',
      ),
      public: keyword(boolean(), 'Whether everybody may fetch them.'),
      access: keyword(choice('none', 'developer', 'maintainer', 'all'), 'Who may fetch them.'),
      reports: keyword(reports, 'Reports in formats that are understood.'),
    },
    { mayBeEmpty: true, exclusive: [['public', 'access']] },
  ),
  ({ expose_as: name, paths }, report) => {
    if (name === undefined) return
    if (paths === undefined || paths.length === 0) report("paths can't be blank with expose_as", 'expose_as')
    else if (paths.some((path) => path.includes('*'))) report("paths can't contain * with expose_as", 'paths')
  },
)

/** What `artifacts` says when it is right. */
export type Artifacts = ValueOf<typeof artifacts>

/** Key and prefix become part of a path. */
const keyText = checked(text(), (key, report) => {
  if (/\/|%2f/i.test(key)) report("can't contain the slash character")
  if (/^(?:\.|%2e){1,2}$/i.test(key)) report("can't be . or ..")
})

const keyFiles = list(text(), { min: 1, max: limits.keyFiles })

const cacheKey: Shape<PlanCache['key']> = either(
  keyText,
  mapped(
    record(
      {
        files: keyword(keyFiles, 'Files whose content makes the key.'),
        files_commits: keyword(keyFiles, 'Files whose last commits make the key.'),
        prefix: keyword(keyText, 'What stands before the hash.'),
      },
      { oneOf: ['files', 'files_commits'] },
    ),
    ({ files, files_commits: commits, prefix }) => ({
      files: files ?? commits ?? [],
      ...(commits === undefined ? {} : { filesCommits: true }),
      ...(prefix === undefined ? {} : { prefix }),
    }),
  ),
)

const cacheMap = mapped(
  record(
    {
      key: keyword(cacheKey, 'What tells caches apart.'),
      paths: keyword(texts, 'Files and directories to keep between jobs.'),
      untracked: keyword(boolean(), 'Whether files that git does not track are kept.'),
      unprotect: keyword(boolean(), 'Whether protected and other branches share the cache.'),
      policy: keyword(
        text({ pattern: /^(?:pull-push|push|pull|.*\$.*)$/s, says: 'pull-push, push, pull or a variable' }),
        'Whether the cache is fetched, stored or both.',
      ),
      when: keyword(choice('on_success', 'on_failure', 'always'), 'After what end of the job it is stored.'),
      fallback_keys: keyword(list(keyText, { max: limits.fallbackKeys }), 'Keys tried when the key is missed.'),
    },
    { mayBeEmpty: true },
  ),
  // An empty map is how a job says that it wants no cache.
  (value): PlanCache | undefined => (Object.keys(value).length === 0 ? undefined : toCache(value)),
)

function toCache(value: {
  key?: PlanCache['key'] | undefined
  paths?: string[] | undefined
  untracked?: boolean | undefined
  unprotect?: boolean | undefined
  policy?: string | undefined
  when?: PlanCache['when'] | undefined
  fallback_keys?: string[] | undefined
}): PlanCache {
  return {
    key: value.key ?? 'default',
    paths: value.paths ?? [],
    ...(value.untracked === undefined ? {} : { untracked: value.untracked }),
    policy: value.policy ?? 'pull-push',
    when: value.when ?? 'on_success',
    fallbackKeys: value.fallback_keys ?? [],
    unprotect: value.unprotect ?? false,
  }
}

/** One cache or several. */
export const cache = either(
  mapped(cacheMap, (one): PlanCache[] => (one === undefined ? [] : [one])),
  mapped(list(cacheMap, { ...flattened, max: limits.caches, maxOfOwn: true }), (all): PlanCache[] =>
    all.filter((one) => one !== undefined),
  ),
)
