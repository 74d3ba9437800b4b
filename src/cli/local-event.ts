/**
 * A pipeline of the working tree that nobody makes: what the rules would say to an event, for `lint --jobs` and
 * `run --list`. The files are those of the working tree, whatever ref the event names.
 */
import path from 'node:path'
import type { CiConfig } from '../core/ci-config/compilation.js'
import { factsWanted } from '../core/ci-config/facts-wanted.js'
import { planPipeline } from '../core/ci-config/plan-pipeline.js'
import type { PlanContext, PlanResult } from '../core/ci-config/planning.js'
import type { PlanVariable } from '../core/ci-config/variables.js'
import { pipelineVariables } from '../core/payload/predefined-variables.js'
import { noSha } from '../core/pipeline.js'
import type { CommitInfo } from '../core/project.js'
import { defaultBranchOf, eventRef, placesOf, readRefs } from './local-refs.js'
import { projectPath } from './project-path.js'
import { gitOutput, listFiles, ownFolders, type WorkingTree } from './working-tree.js'

/** The event that is imagined, as options name it. */
export interface LocalEventInput {
  /** `CI_PIPELINE_SOURCE`. */
  source: string
  /** Branch or tag, also as `refs/heads/…` or `refs/tags/…`; absent: the branch checked out. */
  ref?: string
  /** Its path; absent: that of `origin`. */
  project?: string
  configPath: string
  variables: readonly PlanVariable[]
}

/** The event, as planning takes it. */
export type LocalEvent = Omit<PlanContext, 'changedPaths' | 'files' | 'comparePaths' | 'projectFiles'> & {
  /** HEAD is detached: the event is of no branch. */
  detached: boolean
}

/** The event as rules and includes see it, with the variables that a coordinator would predefine. */
export function localEvent(tree: WorkingTree, input: LocalEventInput): LocalEvent {
  const { source } = input
  const refs = readRefs(tree)
  const { ref, tag, detached } = eventRef(tree, refs, input.ref)
  const defaultBranch = defaultBranchOf(tree, refs)
  const isProtected = !tag && !detached && ref === defaultBranch
  const fullPath = input.project ?? projectPath(tree)
  const predefined = pipelineVariables({
    project: {
      id: 1,
      groupId: 1,
      path: path.posix.basename(fullPath),
      fullPath,
      name: path.posix.basename(fullPath),
      description: '',
      visibility: 'private',
      defaultBranch,
      configPath: input.configPath,
    },
    externalUrl: 'http://127.0.0.1:8080',
    source,
    // A pipeline of no branch has no `CI_COMMIT_BRANCH`, as one of a request.
    mergeRequest: detached || source === requestSource,
    ref,
    tag,
    protected: isProtected,
    sha: tree.head ?? noSha,
    beforeSha: noSha,
    commit: headCommit(tree),
    createdAt: Date.now(),
    user: null,
  })
  const weak = [...predefined, ...(source === requestSource ? requestVariables(ref, defaultBranch) : [])]
  return {
    source,
    ref,
    tag,
    detached,
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
  const [, remote] = placesOf(readRefs(tree), ref.replace(/^refs\/heads\//, ''))
  const base = [ref, remote]
    .map((one) => gitOutput(tree.root, ['merge-base', one, 'HEAD']))
    .find((one) => one !== undefined)
  if (base === undefined) return undefined
  const changed = gitOutput(tree.root, ['diff', '--name-only', '--no-renames', '-z', base], true) ?? ''
  const own = ownFolders.map((name) => `--exclude=${name}/`)
  const added = gitOutput(tree.root, ['ls-files', '-z', '--others', '--exclude-standard', ...own], true) ?? ''
  return [...new Set((changed + added).split('\0').filter((path) => path !== ''))]
}

/** A merge request's changes are all since the target branch; those of a push are known only to who received it. */
function changedBy(tree: WorkingTree, event: LocalEvent): string[] | undefined {
  return event.source === requestSource ? changedSince(tree, event.defaultBranch) : undefined
}

function headCommit(tree: WorkingTree): CommitInfo {
  const format = '--format=%an%x00%ae%x00%cI%x00%B'
  const text = tree.head === undefined ? undefined : gitOutput(tree.root, ['log', '-1', format, tree.head])
  const [authorName = '', authorEmail = '', timestamp = '', message = ''] = text?.split('\0') ?? []
  return {
    sha: tree.head ?? noSha,
    author: authorName === '' ? '' : `${authorName} <${authorEmail}>`,
    authorName,
    authorEmail,
    // Some versions of git write `Z`, GitLab the zone.
    timestamp: timestamp.replace(/Z$/, '+00:00'),
    message,
  }
}

/** The source of a request's pipeline. */
export const requestSource = 'merge_request_event'
/** The ref of the request that such a pipeline is about. */
export const requestPath = 'refs/merge-requests/1/head'

/** What a request to merge `ref` into `target` would predefine. */
export function requestVariables(ref: string, target: string): { key: string; value: string; raw: true }[] {
  const values = {
    CI_MERGE_REQUEST_IID: '1',
    CI_MERGE_REQUEST_REF_PATH: requestPath,
    CI_MERGE_REQUEST_EVENT_TYPE: 'detached',
    CI_MERGE_REQUEST_SOURCE_BRANCH_NAME: ref,
    CI_MERGE_REQUEST_TARGET_BRANCH_NAME: target,
  }
  return Object.entries(values).map(([key, value]) => ({ key, value, raw: true as const }))
}
