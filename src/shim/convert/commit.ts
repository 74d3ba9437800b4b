/** Commits, branches, tags and what is in them, as gitlab lib/api/entities/{commit,branch,tag,tree_object,diff}.rb show them. */
import { levels } from '../../core/member.js'
import type { CommitInfo, Project } from '../../core/project.js'
import { isProtected, mergeLevel, pushLevel } from '../../core/protection.js'
import type { CommitDetail, DiffEntry, RefEntry, TreeEntry } from '../../core/repository-browser.js'
import type { CommitEntity } from '../entities.js'

/** A commit with all that is known of it. */
export function toCommit(commit: CommitDetail, project: Project, externalUrl: string): CommitEntity {
  return {
    ...toCommitBasic(commit, project, externalUrl),
    parent_ids: commit.parents,
    authored_date: commit.authoredAt,
    committer_name: commit.committerName,
    committer_email: commit.committerEmail,
  }
}

/** The commit that a job runs at. Authors are shown as committers too: only they are known there. */
export function toCommitBasic(commit: CommitInfo, project: Project, externalUrl: string): CommitEntity {
  const [title = ''] = commit.message.split('\n', 1)
  return {
    id: commit.sha,
    short_id: commit.sha.slice(0, 8),
    created_at: commit.timestamp,
    parent_ids: [],
    title,
    message: commit.message,
    author_name: commit.authorName,
    author_email: commit.authorEmail,
    authored_date: commit.timestamp,
    committer_name: commit.authorName,
    committer_email: commit.authorEmail,
    committed_date: commit.timestamp,
    trailers: {},
    extended_trailers: {},
    web_url: `${externalUrl}/${project.fullPath}/-/commit/${commit.sha}`,
  }
}

/** A branch, and who may change it. */
export function toBranch(ref: RefEntry, commit: CommitEntity | null, project: Project, externalUrl: string): object {
  const isDefault = ref.name === project.defaultBranch
  const branch = { name: ref.name, tag: false }
  return {
    name: ref.name,
    commit,
    merged: false,
    protected: isProtected(project, branch),
    developers_can_push: pushLevel(project, branch) <= levels.developer,
    developers_can_merge: mergeLevel(project, ref.name) <= levels.developer,
    can_push: true,
    default: isDefault,
    web_url: `${externalUrl}/${project.fullPath}/-/tree/${encodeURI(ref.name)}`,
  }
}

export function toTag(ref: RefEntry, commit: CommitEntity | null): object {
  return {
    name: ref.name,
    message: ref.message,
    target: ref.target,
    commit,
    release: null,
    protected: false,
    created_at: null,
  }
}

/** `id, name, type, path, mode`, as it is. */
export function toTreeEntry({ id, name, type, path, mode }: TreeEntry): object {
  return { id, name, type, path, mode }
}

export function toDiff(entry: DiffEntry): object {
  return {
    diff: entry.diff,
    collapsed: false,
    too_large: false,
    old_path: entry.oldPath,
    new_path: entry.newPath,
    a_mode: entry.oldMode,
    b_mode: entry.newMode,
    new_file: entry.status === 'added',
    renamed_file: entry.status === 'renamed',
    deleted_file: entry.status === 'deleted',
    generated_file: null,
  }
}
