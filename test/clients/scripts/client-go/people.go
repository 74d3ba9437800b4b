// Members, what is protected, tokens of groups, and projects and groups that move.
package main

import gitlab "gitlab.com/gitlab-org/api/client-go"

func people() []any {
	ann := must(api.Users.ListUsers(&gitlab.ListUsersOptions{Username: gitlab.Ptr("ann")}))[0]
	crew := must(api.Groups.CreateGroup(&gitlab.CreateGroupOptions{Name: gitlab.Ptr("Crew"), Path: gitlab.Ptr("crew")}))
	made := must(api.ProjectMembers.AddProjectMember(project, &gitlab.AddProjectMemberOptions{UserID: ann.ID, AccessLevel: gitlab.Ptr(gitlab.DeveloperPermissions)}))
	edited := must(api.ProjectMembers.EditProjectMember(project, ann.ID, &gitlab.EditProjectMemberOptions{AccessLevel: gitlab.Ptr(gitlab.MaintainerPermissions)}))
	own := must(api.ProjectMembers.ListProjectMembers(project, nil))
	all := must(api.ProjectMembers.ListAllProjectMembers(project, nil))
	done(api.ProjectMembers.DeleteProjectMember(project, ann.ID))
	member := must(api.GroupMembers.AddGroupMember(crew.ID, &gitlab.AddGroupMemberOptions{UserID: &ann.ID, AccessLevel: gitlab.Ptr(gitlab.ReporterPermissions)}))
	done(api.Projects.ShareProjectWithGroup(project, &gitlab.ShareWithGroupOptions{GroupID: &crew.ID, GroupAccess: gitlab.Ptr(gitlab.GuestPermissions)}))
	inherited := must(api.ProjectMembers.GetInheritedProjectMember(project, ann.ID))
	return []any{made.AccessLevel, edited.AccessLevel, len(own), len(all) > 1, member.Username, inherited.AccessLevel}
}

func protections() []any {
	branch := must(api.ProtectedBranches.ProtectRepositoryBranches(project, &gitlab.ProtectRepositoryBranchesOptions{
		Name: gitlab.Ptr("release-*"), PushAccessLevel: gitlab.Ptr(gitlab.DeveloperPermissions), MergeAccessLevel: gitlab.Ptr(gitlab.DeveloperPermissions),
	}))
	updated := must(api.ProtectedBranches.UpdateProtectedBranch(project, "release-*", &gitlab.UpdateProtectedBranchOptions{AllowForcePush: gitlab.Ptr(true)}))
	branches := must(api.ProtectedBranches.ListProtectedBranches(project, nil))
	done(api.ProtectedBranches.UnprotectRepositoryBranches(project, "release-*"))
	tag := must(api.ProtectedTags.ProtectRepositoryTags(project, &gitlab.ProtectRepositoryTagsOptions{
		Name: gitlab.Ptr("v*"), CreateAccessLevel: gitlab.Ptr(gitlab.MaintainerPermissions),
	}))
	tags := must(api.ProtectedTags.ListProtectedTags(project, nil))
	done(api.ProtectedTags.UnprotectRepositoryTags(project, "v*"))
	return []any{branch.PushAccessLevels[0].AccessLevel, updated.AllowForcePush, len(branches), tag.CreateAccessLevels[0].AccessLevel, len(tags)}
}

func groupTokens() []any {
	expiry := gitlab.ISOTime(in(30))
	made := must(api.GroupAccessTokens.CreateGroupAccessToken("crew", &gitlab.CreateGroupAccessTokenOptions{
		Name: gitlab.Ptr("bot"), Scopes: &[]string{"api"}, AccessLevel: gitlab.Ptr(gitlab.DeveloperPermissions), ExpiresAt: &expiry,
	}))
	rotated := must(api.GroupAccessTokens.RotateGroupAccessToken("crew", made.ID, &gitlab.RotateGroupAccessTokenOptions{ExpiresAt: &expiry}))
	listed := must(api.GroupAccessTokens.ListGroupAccessTokens("crew", nil))
	done(api.GroupAccessTokens.RevokeGroupAccessToken("crew", rotated.ID))
	shown := must(api.GroupAccessTokens.GetGroupAccessToken("crew", rotated.ID))
	return []any{made.AccessLevel, rotated.Token != made.Token, len(listed), shown.Revoked}
}

func moves() []any {
	found := must(api.Projects.GetProject(project, nil))
	renamed := must(api.Projects.EditProject(project, &gitlab.EditProjectOptions{Path: gitlab.Ptr("renamed")}))
	moved := must(api.Projects.TransferProject(found.ID, &gitlab.TransferProjectOptions{Namespace: "crew"}))
	old := must(api.Projects.GetProject(project, nil))
	fleet := must(api.Groups.CreateGroup(&gitlab.CreateGroupOptions{Name: gitlab.Ptr("Fleet"), Path: gitlab.Ptr("fleet")}))
	group := must(api.Groups.TransferSubGroup("crew", &gitlab.TransferSubGroupOptions{GroupID: &fleet.ID}))
	return []any{renamed.PathWithNamespace, moved.PathWithNamespace, old.ID == found.ID, group.FullPath}
}
