/** Projects, as gitlab lib/api/entities/project.rb shows them, as far as there is something to show. */
import type { Mirror } from '../../core/mirror.js'
import type { Group, Project } from '../../core/project.js'
import type {
  GroupEntity,
  NamespaceEntity,
  ProjectBasicEntity,
  ProjectDetailsEntity,
  ProjectEntity,
} from '../entities.js'
import { toIso } from './time.js'

/** A project by itself; `group`: where it lies. */
export function toProject(project: Project, group: Group | undefined, externalUrl: string): ProjectEntity {
  return {
    ...toProjectDetails(project, group, externalUrl),
    _links: { self: `${externalUrl}/api/v4/projects/${project.id}` },
    archived: false,
    empty_repo: false,
    jobs_enabled: project.buildsEnabled === 1,
    builds_access_level: project.buildsEnabled === 1 ? 'enabled' : 'disabled',
    build_timeout: project.timeoutS,
    ci_config_path: project.configPath,
    auto_cancel_pending_pipelines: project.autoCancel === 1 ? 'enabled' : 'disabled',
    merge_pipelines_enabled: project.mergedResults === 1,
    ci_forward_deployment_enabled: project.forwardDeployment === 1,
    ci_delete_pipelines_in_seconds: project.deletePipelinesS,
    keep_latest_artifact: project.keepLatest === 1,
    ci_job_token_scope_enabled: false,
    public_jobs: project.visibility === 'public',
    shared_runners_enabled: project.instanceRunnersEnabled === 1,
    group_runners_enabled: project.groupRunnersEnabled === 1,
    import_url: null,
    mirror: project.mirrored === 1,
    updated_at: toIso(project.updatedAt),
  }
}

/** How a runner shows its projects: gitlab lib/api/entities/basic_project_details.rb. */
export function toProjectDetails(
  project: Project,
  group: Group | undefined,
  externalUrl: string,
): ProjectDetailsEntity {
  return {
    ...toProjectBasic(project, group, externalUrl),
    default_branch: project.defaultBranch,
    tag_list: [],
    topics: [],
    ssh_url_to_repo: null,
    http_url_to_repo: `${externalUrl}/${project.fullPath}.git`,
    readme_url: null,
    avatar_url: null,
    forks_count: 0,
    star_count: 0,
    last_activity_at: toIso(project.updatedAt),
    visibility: project.visibility,
    namespace: group ? toNamespace(group, externalUrl) : null,
  }
}

/** The state of a mirror: https://docs.gitlab.com/api/project_pull_mirroring/ */
export function toMirror({ projectId, source, fetchedAt, error }: Mirror): object {
  return {
    id: projectId,
    enabled: true,
    url: source.url,
    update_status: error !== null ? 'failed' : fetchedAt === null ? 'none' : 'finished',
    last_error: error,
    last_successful_update_at: fetchedAt === null ? null : toIso(fetchedAt),
  }
}

/** How a project is shown inside other things. */
export function toProjectBasic(
  project: Project,
  group: Pick<Group, 'fullPath'> | undefined,
  externalUrl: string,
): ProjectBasicEntity {
  const namespace = group?.fullPath ?? project.fullPath.split('/').slice(0, -1).join('/')
  return {
    id: project.id,
    description: project.description,
    name: project.name,
    name_with_namespace: `${namespace.split('/').join(' / ')} / ${project.name}`,
    path: project.path,
    path_with_namespace: project.fullPath,
    created_at: toIso(project.createdAt),
    web_url: `${externalUrl}/${project.fullPath}`,
  }
}

/** A group by itself. */
export function toGroup(group: Group, externalUrl: string): GroupEntity {
  return {
    id: group.id,
    web_url: `${externalUrl}/groups/${group.fullPath}`,
    name: group.name,
    path: group.path,
    description: group.description,
    visibility: group.visibility,
    created_at: toIso(group.createdAt),
    avatar_url: null,
    full_name: group.fullPath.split('/').join(' / '),
    full_path: group.fullPath,
    parent_id: group.parentId,
  }
}

/** Where projects lie: a group, or a user's own place. */
export function toNamespace(group: Group, externalUrl: string): NamespaceEntity {
  return {
    id: group.id,
    name: group.name,
    path: group.path,
    kind: group.kind,
    full_path: group.fullPath,
    parent_id: group.parentId,
    avatar_url: null,
    web_url: `${externalUrl}/${group.kind === 'group' ? 'groups/' : ''}${group.fullPath}`,
  }
}
