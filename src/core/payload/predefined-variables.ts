/**
 * The variables that GitLab predefines, with true values. `pipelineVariables` are known before the pipeline exists and
 * are what rules and includes see; `jobVariables` belong to one job and reach it only through its payload.
 * Names and meanings: https://docs.gitlab.com/ci/variables/predefined_variables/
 */

import type { JobPlan } from '../ci-config/job-definition.js'
import { groupName } from '../ci-config/parallel.js'
import type { PlanVariable } from '../ci-config/variables.js'
import { environmentSlug, guessTier } from '../environment.js'
import type { CommitInfo, Project } from '../project.js'
import { RecentMap } from '../recent-map.js'
import { gitlabVersion } from '../version.js'
import { withAnother } from './variable-text.js'

export interface PipelineFacts {
  project: Pick<
    Project,
    'id' | 'groupId' | 'path' | 'fullPath' | 'name' | 'description' | 'visibility' | 'defaultBranch' | 'configPath'
  >
  externalUrl: string
  source: string
  /** It is about a merge request; absent: if it comes of one. */
  mergeRequest?: boolean
  ref: string
  tag: boolean
  protected: boolean
  sha: string
  beforeSha: string
  commit: CommitInfo
  /** Of a tag's pipeline. */
  tagMessage?: string
  /** Numbers of the open merge requests from the branch, where they were looked up. */
  openRequests?: readonly number[]
  /** Milliseconds since 1970. */
  createdAt: number
  user: { id: number; username: string; name: string; email: string } | null
}

/** What the last pipeline of a commit has made of it; the next one most often differs in its time only. */
const ofCommits = new WeakMap<CommitInfo, { facts: PipelineFacts; list: PlanVariable[]; timeAt: number }>()

/** Variables of a pipeline, its project and the server, weakest first. */
export function pipelineVariables(facts: PipelineFacts): PlanVariable[] {
  const known = ofCommits.get(facts.commit)
  if (known && isAlike(known.facts, facts)) {
    return withAnother(known.list, known.timeAt, { key: createdAt, value: iso8601(facts.createdAt), raw: true })
  }
  const list = variables({ ...serverValues(facts.externalUrl), ...projectValues(facts), ...commitValues(facts) })
  ofCommits.set(facts.commit, { facts, list, timeAt: list.findIndex(({ key }) => key === createdAt) })
  return list
}

const createdAt = 'CI_PIPELINE_CREATED_AT'

/** Whether two pipelines of a commit have the same variables, but for their times. */
function isAlike(one: PipelineFacts, other: PipelineFacts): boolean {
  return (
    projectFields.every((field) => one.project[field] === other.project[field]) &&
    ownFields.every((field) => one[field] === other[field]) &&
    String(one.openRequests) === String(other.openRequests)
  )
}

const projectFields = [
  'id',
  'groupId',
  'path',
  'fullPath',
  'name',
  'description',
  'visibility',
  'defaultBranch',
  'configPath',
] as const satisfies readonly (keyof PipelineFacts['project'])[]

const ownFields = [
  'externalUrl',
  'source',
  'mergeRequest',
  'ref',
  'tag',
  'protected',
  'sha',
  'beforeSha',
  'tagMessage',
] as const satisfies readonly (keyof PipelineFacts)[]

/** Variables of whoever started the pipeline; they are stronger than a job's own. */
export function userVariables(user: PipelineFacts['user']): PlanVariable[] {
  if (!user) return []
  return variables({
    GITLAB_USER_ID: String(user.id),
    GITLAB_USER_LOGIN: user.username,
    GITLAB_USER_NAME: user.name,
    GITLAB_USER_EMAIL: user.email,
  })
}

export interface JobFacts {
  externalUrl: string
  projectPath: string
  job: { id: number; name: string; stage: string; runWhen: string }
  pipeline: { id: number; iid: number; name: string | null; createdAt: number }
  plan: Pick<JobPlan, 'parallel' | 'image' | 'environment'>
  token: string
  /** For tools of the job that write traces, as the header of this name. */
  traceparent: string
}

/** Variables of one job, weakest first: those that only the running job knows, then those that describe it. */
export function jobVariables(facts: JobFacts): PlanVariable[] {
  const { job, pipeline, plan, externalUrl, projectPath, token, traceparent } = facts
  const url = `${externalUrl}/${projectPath}`
  return [
    ...variables({
      CI_PIPELINE_ID: String(pipeline.id),
      CI_PIPELINE_URL: `${url}/-/pipelines/${pipeline.id}`,
      CI_JOB_ID: String(job.id),
      CI_JOB_URL: `${url}/-/jobs/${job.id}`,
      TRACEPARENT: traceparent,
    }),
    { key: 'CI_JOB_TOKEN', value: token, raw: true, masked: true },
    { key: 'CI_REPOSITORY_URL', value: repositoryUrl(externalUrl, projectPath, token), raw: true, masked: true },
    ...variables({
      CI_PIPELINE_IID: String(pipeline.iid),
      CI_PIPELINE_NAME: pipeline.name ?? undefined,
      CI_JOB_NAME: job.name,
      CI_JOB_NAME_SLUG: slug(job.name),
      CI_JOB_GROUP_NAME: groupName(job.name),
      CI_JOB_STAGE: job.stage,
      CI_JOB_MANUAL: job.runWhen === 'manual' ? 'true' : undefined,
      CI_NODE_INDEX: plan.parallel && String(plan.parallel.index),
      CI_NODE_TOTAL: String(plan.parallel?.total ?? 1),
      CI_ENVIRONMENT_NAME: plan.environment?.name,
      CI_ENVIRONMENT_SLUG: plan.environment && environmentSlug(plan.environment.name),
      CI_ENVIRONMENT_ACTION: plan.environment?.action,
      CI_ENVIRONMENT_TIER: plan.environment && (plan.environment.deploymentTier ?? guessTier(plan.environment.name)),
    }),
    ...environmentUrl(plan),
  ]
}

/** As written in the file: it is what refers to variables of the job. */
function environmentUrl({ environment }: JobFacts['plan']): PlanVariable[] {
  return environment?.url === undefined ? [] : [{ key: 'CI_ENVIRONMENT_URL', value: environment.url }]
}

/** Where a job clones from, with its token in the user part, as GitLab's runner expects. */
export function repositoryUrl(externalUrl: string, projectPath: string, token: string): string {
  const { protocol, rest } = partsOf(externalUrl)
  return `${protocol}//gitlab-ci-token:${token}@${rest}/${projectPath}.git`
}

const parts = new RecentMap<string, { protocol: string; rest: string }>(16)

/** A base of URLs in two, without its user and the slash at its end: parsing it for each job would cost more than the rest. */
function partsOf(externalUrl: string): { protocol: string; rest: string } {
  const known = parts.get(externalUrl)
  if (known) return known
  const { protocol, host, pathname } = new URL(externalUrl)
  const made = { protocol, rest: `${host}${pathname.replace(/\/$/, '')}` }
  parts.set(externalUrl, made)
  return made
}

/** GitLab's slug: lower case, everything else a dash, at most 63 characters, no dash at the ends. */
export function slug(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '')
}

/** A time as Rails' `iso8601` writes it: whole seconds, cut and not rounded. */
function iso8601(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`
}

function serverValues(externalUrl: string): Values {
  const url = new URL(externalUrl)
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  const [major, minor, patch] = gitlabVersion.split('.')
  return {
    CI: 'true',
    GITLAB_CI: 'true',
    CI_SERVER_URL: externalUrl,
    CI_SERVER_HOST: url.hostname,
    CI_SERVER_PORT: port,
    CI_SERVER_PROTOCOL: url.protocol.slice(0, -1),
    CI_SERVER_FQDN: url.host,
    CI_SERVER_NAME: 'Signalbox',
    CI_SERVER_VERSION: gitlabVersion,
    CI_SERVER_VERSION_MAJOR: major,
    CI_SERVER_VERSION_MINOR: minor,
    CI_SERVER_VERSION_PATCH: patch,
    CI_SERVER_REVISION: 'signalbox',
    CI_API_V4_URL: `${externalUrl}/api/v4`,
    GITLAB_FEATURES: '',
  }
}

function projectValues({ project, externalUrl }: PipelineFacts): Values {
  const namespace = project.fullPath.slice(0, -(project.path.length + 1))
  return {
    CI_PROJECT_ID: String(project.id),
    CI_PROJECT_NAME: project.path,
    CI_PROJECT_TITLE: project.name,
    CI_PROJECT_DESCRIPTION: project.description,
    CI_PROJECT_PATH: project.fullPath,
    CI_PROJECT_PATH_SLUG: slug(project.fullPath),
    CI_PROJECT_NAMESPACE: namespace,
    CI_PROJECT_NAMESPACE_SLUG: slug(namespace),
    CI_PROJECT_NAMESPACE_ID: String(project.groupId),
    CI_PROJECT_ROOT_NAMESPACE: namespace.split('/')[0],
    CI_PROJECT_URL: `${externalUrl}/${project.fullPath}`,
    CI_PROJECT_VISIBILITY: project.visibility,
    CI_DEFAULT_BRANCH: project.defaultBranch,
    CI_DEFAULT_BRANCH_SLUG: slug(project.defaultBranch),
    CI_CONFIG_PATH: project.configPath,
  }
}

const messageLimitBytes = 100_000

function commitValues(facts: PipelineFacts): Values {
  const { commit } = facts
  const cut = Buffer.byteLength(commit.message) > messageLimitBytes
  const message = cut ? Buffer.from(commit.message).subarray(0, messageLimitBytes).toString('utf8') : commit.message
  const [title = '', ...rest] = message.split('\n')
  return {
    CI_COMMIT_SHA: facts.sha,
    CI_COMMIT_SHORT_SHA: facts.sha.slice(0, 8),
    CI_COMMIT_BEFORE_SHA: facts.beforeSha,
    CI_COMMIT_REF_NAME: facts.ref,
    CI_COMMIT_REF_SLUG: slug(facts.ref),
    CI_COMMIT_BRANCH:
      facts.tag || (facts.mergeRequest ?? facts.source === 'merge_request_event') ? undefined : facts.ref,
    CI_COMMIT_TAG: facts.tag ? facts.ref : undefined,
    CI_COMMIT_TAG_MESSAGE: facts.tagMessage,
    CI_OPEN_MERGE_REQUESTS: facts.openRequests?.map((iid) => `${facts.project.fullPath}!${iid}`).join() || undefined,
    CI_COMMIT_REF_PROTECTED: String(facts.protected),
    CI_COMMIT_MESSAGE: message,
    CI_COMMIT_MESSAGE_IS_TRUNCATED: String(cut),
    CI_COMMIT_TITLE: title,
    CI_COMMIT_DESCRIPTION: rest.join('\n').replace(/^\n/, ''),
    CI_COMMIT_TIMESTAMP: commit.timestamp,
    CI_COMMIT_AUTHOR: commit.author,
    CI_PIPELINE_SOURCE: facts.source,
    [createdAt]: iso8601(facts.createdAt),
    CI_PIPELINE_TRIGGERED: facts.source === 'trigger' ? 'true' : undefined,
  }
}

type Values = Record<string, string | undefined>

/** Predefined values are taken as they are: a `$` in a commit message is no reference. */
function variables(values: Values): PlanVariable[] {
  return Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [{ key, value, raw: true }]))
}
