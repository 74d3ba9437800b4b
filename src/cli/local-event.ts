/**
 * A pipeline of the working tree that nobody makes: what the rules would say to an event, for `lint --jobs` and
 * `run --list`. The files are those of the working tree, whatever ref the event names.
 */
import { factsWanted } from '../core/ci-config/facts-wanted.js'
import type { CiConfig, PlanContext, PlanResult } from '../core/ci-config/plan.js'
import { planPipeline } from '../core/ci-config/plan-pipeline.js'
import { noSha } from '../core/pipeline.js'
import { pipelineVariables } from '../core/predefined-variables.js'
import type { CommitInfo } from '../core/project.js'
import { gitOutput, listFiles, projectName, type WorkingTree } from './working-tree.js'

export interface LocalEventInput {
  /** `CI_PIPELINE_SOURCE`. */
  source: string
  /** Branch or tag, also as `refs/heads/…` or `refs/tags/…`; absent: the branch checked out. */
  ref?: string
  /** Absent: the branch checked out. */
  defaultBranch?: string
  configPath: string
  variables: readonly { key: string; value: string }[]
}

export type LocalEvent = Omit<PlanContext, 'changedPaths' | 'files' | 'comparePaths' | 'projectFiles'>

/** The event as rules and includes see it, with the variables that a coordinator would predefine. */
export function localEvent(tree: WorkingTree, input: LocalEventInput): LocalEvent {
  const { source, defaultBranch = tree.branch } = input
  const { ref, tag } = refOf(tree, input.ref ?? tree.branch)
  const isProtected = !tag && ref === defaultBranch
  const name = projectName(tree.root)
  const predefined = pipelineVariables({
    project: {
      id: 1,
      groupId: 1,
      path: name,
      fullPath: `local/${name}`,
      name,
      description: '',
      visibility: 'private',
      defaultBranch,
      configPath: input.configPath,
    },
    externalUrl: 'http://127.0.0.1:8080',
    source,
    ref,
    tag,
    protected: isProtected,
    sha: tree.head ?? noSha,
    beforeSha: noSha,
    commit: headCommit(tree),
    createdAt: Date.now(),
    user: null,
  })
  const weak = [...predefined, ...(source === 'merge_request_event' ? mergeRequest(ref, defaultBranch) : [])]
  return {
    source,
    ref,
    tag,
    protected: isProtected,
    defaultBranch,
    variables: [...weak, ...input.variables],
    strongFrom: weak.length,
  }
}

/** The pipeline that the event would make. Asks git for no more than rules mention. */
export function planLocally(tree: WorkingTree, config: CiConfig, event: LocalEvent): PlanResult {
  const wanted = factsWanted(config, event)
  const changedPaths = wanted.changedPaths ? changedBy(tree, event) : undefined
  const comparePaths: Record<string, string[]> = Object.create(null)
  for (const ref of wanted.compareTo) {
    const paths = changedSince(tree, ref)
    if (paths !== undefined) comparePaths[ref] = paths
  }
  return planPipeline(config, {
    ...event,
    ...(changedPaths === undefined ? {} : { changedPaths }),
    ...(wanted.files ? { files: listFiles(tree.root) } : {}),
    comparePaths,
  })
}

/** Whether rules ask what the event changes and nobody can tell, so that `changes` counts as true. */
export function isGuessed(tree: WorkingTree, config: CiConfig, event: LocalEvent): boolean {
  return factsWanted(config, event).changedPaths && changedBy(tree, event) === undefined
}

/** Paths that differ from where the tree's branch parted from a ref; undefined if there is no such ref. */
export function changedSince(tree: WorkingTree, ref: string): string[] | undefined {
  if (tree.gitDir === undefined || ref === '' || ref.startsWith('-')) return undefined
  const base = [ref, `origin/${ref}`]
    .map((one) => gitOutput(tree.root, ['merge-base', one, 'HEAD']))
    .find((one) => one !== undefined)
  if (base === undefined) return undefined
  const changed = gitOutput(tree.root, ['diff', '--name-only', '--no-renames', '-z', base], true) ?? ''
  const added = gitOutput(tree.root, ['ls-files', '-z', '--others', '--exclude-standard'], true) ?? ''
  return [...new Set((changed + added).split('\0').filter((path) => path !== ''))]
}

/** A merge request's changes are all since the target branch; those of a push are known only to who received it. */
function changedBy(tree: WorkingTree, event: LocalEvent): string[] | undefined {
  return event.source === 'merge_request_event' ? changedSince(tree, event.defaultBranch) : undefined
}

/** The name that `origin` calls its default branch; the branch checked out where there is none. */
export function defaultBranchOf(tree: WorkingTree): string {
  if (tree.gitDir === undefined) return tree.branch
  const head = gitOutput(tree.root, ['symbolic-ref', '--short', 'refs/remotes/origin/HEAD'])
  return head?.replace(/^origin\//, '') ?? tree.branch
}

function refOf(tree: WorkingTree, given: string): { ref: string; tag: boolean } {
  const full = /^refs\/(heads|tags)\/(.+)$/.exec(given)
  if (full) return { ref: full[2]!, tag: full[1] === 'tags' }
  const exists = (name: string) =>
    tree.gitDir !== undefined && gitOutput(tree.root, ['rev-parse', '--verify', '--quiet', name]) !== undefined
  const tag = given !== tree.branch && !exists(`refs/heads/${given}`) && exists(`refs/tags/${given}`)
  return { ref: given, tag }
}

function headCommit(tree: WorkingTree): CommitInfo {
  const format = '--format=%an%x00%ae%x00%aI%x00%B'
  const text = tree.head === undefined ? undefined : gitOutput(tree.root, ['log', '-1', format, tree.head])
  const [authorName = '', authorEmail = '', timestamp = '', message = ''] = text?.split('\0') ?? []
  return {
    sha: tree.head ?? noSha,
    author: authorName === '' ? '' : `${authorName} <${authorEmail}>`,
    authorName,
    authorEmail,
    timestamp,
    message,
  }
}

function mergeRequest(ref: string, target: string): { key: string; value: string; raw: true }[] {
  const values = {
    CI_MERGE_REQUEST_IID: '1',
    CI_MERGE_REQUEST_REF_PATH: 'refs/merge-requests/1/head',
    CI_MERGE_REQUEST_EVENT_TYPE: 'detached',
    CI_MERGE_REQUEST_SOURCE_BRANCH_NAME: ref,
    CI_MERGE_REQUEST_TARGET_BRANCH_NAME: target,
  }
  return Object.entries(values).map(([key, value]) => ({ key, value, raw: true as const }))
}
