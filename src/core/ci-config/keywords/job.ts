/** The keywords of jobs and trigger jobs (lib/gitlab/ci/config/entry/{job,bridge,processable}.rb). */
import type { PlanRetry } from '../job-definition.js'
import { limits } from '../limits.js'
import { compileRegex } from '../regex.js'
import {
  boolean,
  checked,
  choice,
  either,
  integer,
  keyword,
  list,
  mapped,
  nullable,
  type Report,
  record,
  required,
  text,
  type ValueOf,
} from '../shape.js'
import { artifacts, cache } from './artifacts.js'
import { environment } from './environment.js'
import { jobInputs } from './header.js'
import { triggerInclude } from './include.js'
import { matrix, needs } from './needs.js'
import {
  exitCodes,
  filledScript,
  image,
  inputValues,
  jobVariables,
  oneMonth,
  oneWeek,
  script,
  services,
  texts,
  wholeSeconds,
} from './parts.js'
import { dastConfiguration, identity, idTokens, pages, release, run, secrets } from './release.js'
import { policy, rules } from './rules.js'

const failureReasons = [
  'always',
  'unknown_failure',
  'script_failure',
  'api_failure',
  'stuck_or_timeout_failure',
  'stuck_pending_with_matching_runners',
  'stuck_pending_no_matching_runners',
  'no_updates_running',
  'no_updates_canceling',
  'runner_system_failure',
  'runner_configuration_error',
  'runner_external_dependency_failure',
  'runner_interrupted',
  'runner_unsupported',
  'stale_schedule',
  'job_execution_timeout',
  'job_execution_server_timeout',
  'server_timeout_running',
  'server_timeout_canceling',
  'archived_failure',
  'unmet_prerequisites',
  'scheduler_failure',
  'data_integrity_failure',
  'missing_dependency_failure',
] as const

/** Reasons that newer ones have replaced: still taken, with a warning. */
export const deprecatedReasons: ReadonlySet<string> = new Set(['stuck_or_timeout_failure', 'job_execution_timeout'])

const reason = choice(...failureReasons)

/** Without `max` nothing is retried: the original asks for it and finds none (lib/gitlab/ci/build/auto_retry.rb). */
const retry = either(
  mapped(integer(0, limits.retries), (max): PlanRetry => ({ max, when: ['always'] })),
  mapped(
    record({
      max: keyword(integer(0, limits.retries), 'How often at most.'),
      when: keyword(
        either(
          mapped(reason, (one) => [one]),
          list(reason),
        ),
        'After which failures.',
      ),
      exit_codes: keyword(exitCodes, 'After which exit codes.'),
    }),
    ({ max, when, exit_codes: codes }): PlanRetry => ({
      max: max ?? 0,
      when: when ?? (codes === undefined ? ['always'] : []),
      ...(codes === undefined ? {} : { exitCodes: codes }),
    }),
  ),
)

/** What `default` may hold and jobs inherit (lib/gitlab/ci/config/entry/default.rb). */
export const inheritable = {
  before_script: keyword(script, 'Commands before script, in the same shell.'),
  after_script: keyword(script, 'Commands after the job, in a shell of their own.'),
  image: keyword(image, 'The image that the job runs in.'),
  services: keyword(services, 'Containers that run beside the job.'),
  artifacts: keyword(artifacts, 'Files to keep after the job.'),
  cache: keyword(cache, 'Files to keep between jobs.'),
  hooks: keyword(
    record({ pre_get_sources_script: keyword(script, 'Commands before the repository is fetched.') }),
    'Commands at certain moments.',
  ),
  id_tokens: keyword(idTokens, 'Tokens that show the job to others.'),
  identity: keyword(identity, 'Identity federation.'),
  interruptible: keyword(boolean(), 'Whether a newer pipeline may cancel the job.'),
  retry: keyword(retry, 'How often and when the job is tried again.'),
  tags: keyword(tagList(), 'What a runner must have to take the job.'),
  timeout: keyword(wholeSeconds(oneMonth), 'How long the job may run.'),
}

function tagList(): typeof texts {
  return checked(texts, (tags, report) => {
    if (tags.length >= limits.tags) report(`must be fewer than ${limits.tags} tags, not ${tags.length}`)
  })
}

const resourceGroup = checked(text(), (name, report) => {
  if (!/^[\w\-/${}. ]+$/.test(name) || name.startsWith('/') || name.endsWith('/')) {
    report('may hold letters, digits, blanks and - _ / $ { } . and may not begin or end with a slash')
  }
})

const extendsNames = either(
  mapped(text(), (name) => [name]),
  list(text()),
)

const inherit = record(
  {
    default: keyword(
      either(boolean(), list(choice(...(Object.keys(inheritable) as (keyof typeof inheritable)[])))),
      'Which defaults the job takes.',
    ),
    variables: keyword(either(boolean(), texts), 'Which global variables the job takes.'),
  },
  { mayBeEmpty: true },
)

/** Keys of jobs and trigger jobs alike. */
const common = {
  extends: keyword(extendsNames, 'Jobs whose keywords this one takes over.'),
  stage: keyword(text(), 'The stage of the job.'),
  only: nullable(policy, 'When the job is in the pipeline; rules is the newer way.'),
  except: nullable(policy, 'When the job is not in the pipeline; rules is the newer way.'),
  rules: nullable(rules, 'When the job is in the pipeline, and how.'),
  variables: keyword(jobVariables, 'Variables of the job.'),
  inherit: keyword(inherit, 'What the job takes from default and the global variables.'),
  needs: keyword(needs, 'Jobs after which this one starts, whatever their stage.'),
  resource_group: keyword(resourceGroup, 'Jobs of one group run one at a time.'),
  environment: keyword(environment, 'The environment that the job deploys to.'),
  interruptible: inheritable.interruptible,
}

const jobWhen = ['on_success', 'on_failure', 'always', 'manual', 'delayed'] as const
const bridgeWhen = ['on_success', 'on_failure', 'always', 'manual'] as const

const parallelMatrix = record({ matrix: required(matrix, 'Variables and their values; one job for each combination.') })

const parallel = either(
  mapped(integer(1, limits.parallel), (count) => ({ count })),
  parallelMatrix,
)

const coverage = mapped(text(), (value, report) => {
  const regex = /^\/(.*)\/$/s.exec(value)?.[1]
  const compiled = regex === undefined ? undefined : compileRegex(regex)
  if (regex === undefined) report('must be a regular expression between slashes')
  if (compiled instanceof Error) report(`is not an RE2 expression: ${compiled.message}`)
  return regex ?? ''
})

type WhenAndStart = { when?: string | undefined; start_in?: number | undefined }

function checkStartIn(value: WhenAndStart, hasRules: boolean, report: Report): void {
  if (value.when === 'delayed' && value.start_in === undefined) {
    report('start_in must be a duration with when: delayed', 'start_in')
  }
  if (value.when !== 'delayed' && value.start_in !== undefined && !hasRules) {
    report('start_in must be blank without when: delayed', 'start_in')
  }
}

function checkRulesAlone(value: Record<string, unknown>, keys: string[], report: Report): void {
  if (value.rules === undefined || value.rules === null) return
  const given = keys.filter((key) => value[key] !== undefined && value[key] !== null)
  if (given.length > 0) report(`key may not be used with rules: ${given.join(', ')}`, given[0])
}

function checkCrossNeeds(written: Job['needs'], report: Report): void {
  const count = written?.filter(({ kind }) => kind === 'cross').length ?? 0
  if (count <= limits.crossPipelineNeeds) return
  report(`${limits.crossPipelineNeeds} needs on other pipelines at most are allowed, not ${count}`, 'needs')
}

function checkDependencies(dependencies: string[] | undefined, written: Job['needs'], report: Report): void {
  if (dependencies === undefined || written === undefined || written.length === 0) return
  const names = new Set(written.flatMap((need) => (need.kind === 'job' ? [need.job] : [])))
  if (names.size === 0) {
    report(
      'dependencies cannot be used with needs on other pipelines only: needs must be from the same pipeline',
      'needs',
    )
    return
  }
  const others = dependencies.filter((name) => !names.has(name))
  if (others.length > 0) report(`dependencies ${others.join(', ')} should be part of needs`, 'dependencies')
}

const jobRecord = record(
  {
    ...common,
    ...inheritable,
    script: keyword(filledScript, 'Commands of the job.'),
    run: keyword(run, 'Steps of the job, in place of script.'),
    when: keyword(choice(...jobWhen), 'When the job starts.'),
    start_in: keyword(wholeSeconds(oneWeek), 'How long a delayed job waits.'),
    allow_failure: keyword(
      either(
        boolean(),
        record({ exit_codes: required(exitCodes, 'Exit codes that count as a failure that is allowed.') }),
      ),
      'Whether the job may fail.',
    ),
    dependencies: keyword(texts, 'Jobs whose artifacts are fetched.'),
    coverage: keyword(coverage, 'What finds the coverage in the log.'),
    parallel: keyword(parallel, 'How many instances of the job run.'),
    inputs: keyword(jobInputs, 'Values that may be changed when the job is started by hand.'),
    release: keyword(release, 'A release that the job makes.'),
    secrets: keyword(secrets, 'Secrets from outside.'),
    publish: keyword(text(), 'The directory that a pages job publishes.'),
    pages: keyword(pages, 'Whether and how the job publishes a site.'),
    manual_confirmation: keyword(text(), 'What is asked before the job is started by hand.'),
    dast_configuration: keyword(dastConfiguration, 'Taken and not used.'),
  },
  {
    exclusive: [
      ['script', 'run'],
      ['before_script', 'run'],
      ['after_script', 'run'],
    ],
  },
)

/** A job that a runner runs. */
export const jobShape = checked(jobRecord, (value, report) => {
  if (value.script?.length === 0 || (value.script === undefined && value.run === undefined)) {
    report("script can't be blank", 'script')
  }
  checkStartIn(value, value.rules !== undefined && value.rules !== null, report)
  checkRulesAlone(value, ['only', 'except', 'start_in'], report)
  checkDependencies(value.dependencies, value.needs, report)
  checkCrossNeeds(value.needs, report)
  if (value.needs?.some((need) => need.kind === 'bridge')) {
    report('a need with pipeline alone mirrors a pipeline, which only trigger jobs can', 'needs')
  }
})

/** What the keywords of a job say when they are right. */
export type Job = ValueOf<typeof jobRecord>

const forward = record(
  {
    yaml_variables: keyword(boolean(), 'Whether variables of the trigger job are passed on.'),
    pipeline_variables: keyword(boolean(), 'Whether variables of the pipeline are passed on.'),
  },
  { mayBeEmpty: true },
)

const projectPath = text({ filled: true })

const trigger = either(
  mapped(projectPath, (project) => ({ project })),
  checked(
    record({
      project: keyword(projectPath, 'The project whose pipeline is started.'),
      branch: keyword(text(), 'The branch of that project.'),
      include: keyword(triggerInclude, 'Files that make a child pipeline.'),
      strategy: keyword(choice('depend', 'mirror'), 'Whether the trigger job follows the pipeline.'),
      forward: keyword(forward, 'Which variables are passed on.'),
      inputs: keyword(inputValues, 'Inputs of the pipeline.'),
    }),
    (value, report) => {
      if (value.include === undefined) {
        if (value.project === undefined) report("project can't be blank; give project or include", 'project')
        return
      }
      const odd = (['project', 'branch'] as const).filter((key) => value[key] !== undefined)
      if (odd.length > 0) report(`unknown keys: ${odd.join(', ')} beside include`, odd[0])
    },
  ),
)

const bridgeRecord = record({
  ...common,
  trigger: keyword(trigger, 'The pipeline that is started.'),
  when: keyword(choice(...bridgeWhen), 'When the pipeline is started.'),
  allow_failure: keyword(boolean(), 'Whether the started pipeline may fail.'),
  parallel: keyword(parallelMatrix, 'How many pipelines are started.'),
})

/** A job that starts another pipeline in place of running commands. */
export const bridgeShape = checked(bridgeRecord, (value, report) => {
  checkRulesAlone(value, ['only', 'except'], report)
  const mirrors = value.needs?.filter((need) => need.kind === 'bridge') ?? []
  if (value.trigger === undefined && mirrors.length === 0) {
    report('should contain either a trigger or a needs:pipeline')
  }
  if (mirrors.length > 1) report('needs may name one pipeline to mirror', 'needs')
  if (value.needs?.some((need) => need.kind === 'cross'))
    report('a trigger job may not need jobs of other pipelines', 'needs')
})

/** What the keywords of a trigger job say when they are right. */
export type Bridge = ValueOf<typeof bridgeRecord>
