// Goes through GitLab's API with client-go, and prints a line for each part of it.
package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	gitlab "gitlab.com/gitlab-org/api/client-go"
)

var (
	url     = os.Getenv("URL")
	project = os.Getenv("PROJECT")
	api     *gitlab.Client
	failed  = false
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// The answer, where there was no error.
func must[T any](answer T, _ *gitlab.Response, err error) T {
	check(err)
	return answer
}

func done(_ *gitlab.Response, err error) { check(err) }

func read(reader io.Reader) string {
	text, err := io.ReadAll(reader)
	check(err)
	return string(text)
}

// So many days from when the project was made: the server has a clock of its own.
func in(days int) time.Time {
	return must(api.Projects.GetProject(project, nil)).CreatedAt.AddDate(0, 0, days)
}

func names[T any](items []T, name func(T) string) (all []string) {
	for _, item := range items {
		all = append(all, name(item))
	}
	return all
}

// Prints what a part says; one that fails leaves the others their turn.
func part(name string, say func() []any) {
	defer func() {
		if problem := recover(); problem != nil {
			failed = true
			fmt.Fprintf(os.Stderr, "%s: error: %v\n", name, problem)
		}
	}()
	fmt.Println(append([]any{name}, say()...)...)
}

func main() {
	var err error
	api, err = gitlab.NewClient(os.Getenv("TOKEN"), gitlab.WithBaseURL(url), gitlab.WithoutRetries())
	check(err)
	part("server", server)
	part("projects", projects)
	part("repository", repository)
	part("lint", lint)
	part("variables", variables)
	part("pipelines", pipelines)
	part("runners", runners)
	part("schedules", schedules)
	part("triggers", triggers)
	part("environments", environments)
	part("statuses", statuses)
	part("releases", releases)
	part("hooks", hooks)
	part("merge requests", mergeRequests)
	part("groups", groups)
	part("users", users)
	part("tokens", tokens)
	part("scope", scope)
	part("missing", missing)
	part("people", people)
	part("protections", protections)
	part("group tokens", groupTokens)
	part("moves", moves)
	if failed {
		os.Exit(1)
	}
}

func server() []any {
	version := must(api.Version.GetVersion())
	return []any{version.Version == must(api.Metadata.GetMetadata()).Version, version.Version != ""}
}

func projects() []any {
	one := must(api.Projects.GetProject(project, nil))
	list := must(api.Projects.ListProjects(&gitlab.ListProjectsOptions{Search: gitlab.Ptr("app"), Membership: gitlab.Ptr(false)}))
	made := must(api.Projects.CreateProject(&gitlab.CreateProjectOptions{Name: gitlab.Ptr("Other"), Path: gitlab.Ptr("other"), NamespaceID: &one.Namespace.ID}))
	edited := must(api.Projects.EditProject(made.ID, &gitlab.EditProjectOptions{BuildTimeout: gitlab.Ptr(int64(1200)), CIConfigPath: gitlab.Ptr("ci.yml")}))
	done(api.Projects.DeleteProject(made.ID, nil))
	return []any{one.PathWithNamespace, one.DefaultBranch, len(list), made.PathWithNamespace, edited.BuildTimeout, edited.CIConfigPath}
}

func repository() []any {
	branches := must(api.Branches.ListBranches(project, nil))
	branch := must(api.Branches.GetBranch(project, "feature/x"))
	tree := must(api.Repositories.ListTree(project, &gitlab.ListTreeOptions{Recursive: gitlab.Ptr(true), Ref: gitlab.Ptr("main")}))
	file := must(api.RepositoryFiles.GetFile(project, "src/a b.txt", &gitlab.GetFileOptions{Ref: gitlab.Ptr("main")}))
	facts := must(api.RepositoryFiles.GetFileMetaData(project, "src/a b.txt", &gitlab.GetFileMetaDataOptions{Ref: gitlab.Ptr("main")}))
	raw := must(api.RepositoryFiles.GetRawFile(project, "src/a b.txt", &gitlab.GetRawFileOptions{Ref: gitlab.Ptr("main")}))
	blob := must(api.Repositories.RawBlobContent(project, file.BlobID))
	commits := must(api.Commits.ListCommits(project, nil))
	commit := must(api.Commits.GetCommit(project, branch.Commit.ID, nil))
	diff := must(api.Commits.GetCommitDiff(project, commit.ID, nil))
	compared := must(api.Repositories.Compare(project, &gitlab.CompareOptions{From: gitlab.Ptr("main"), To: gitlab.Ptr("feature/x")}))
	base := must(api.Repositories.MergeBase(project, &gitlab.MergeBaseOptions{Ref: &[]string{"main", "feature/x"}}))
	tags := must(api.Tags.ListTags(project, nil))
	tag := must(api.Tags.GetTag(project, "v1"))
	text, err := base64.StdEncoding.DecodeString(file.Content)
	check(err)
	return []any{
		names(branches, func(one *gitlab.Branch) string { return one.Name }), branch.Commit.Title,
		names(tree, func(one *gitlab.TreeNode) string { return one.Path }), string(text), facts.Size, string(raw), string(blob),
		len(commits), commit.Stats.Additions > 0, len(diff), compared.CompareSameRef, base.ID == commit.ID,
		len(tags), tag.Name, tag.Commit.ID == commit.ID,
	}
}

func lint() []any {
	own := must(api.Validate.ProjectLint(project, &gitlab.ProjectLintOptions{ContentRef: gitlab.Ptr("main"), IncludeJobs: gitlab.Ptr(true)}))
	bad := must(api.Validate.ProjectNamespaceLint(project, &gitlab.ProjectNamespaceLintOptions{Content: gitlab.Ptr("a: {script: 1, stage: none}")}))
	return []any{own.Valid, own.MergedYaml != "", bad.Valid, len(bad.Errors) > 0}
}

func variables() []any {
	production := &gitlab.VariableFilter{EnvironmentScope: "production"}
	made := must(api.ProjectVariables.CreateVariable(project, &gitlab.CreateProjectVariableOptions{
		Key: gitlab.Ptr("KEY"), Value: gitlab.Ptr("value"), EnvironmentScope: gitlab.Ptr("production"), Masked: gitlab.Ptr(false),
		VariableType: gitlab.Ptr(gitlab.FileVariableType), Description: gitlab.Ptr("of a test"),
	}))
	edited := must(api.ProjectVariables.UpdateVariable(project, "KEY", &gitlab.UpdateProjectVariableOptions{Value: gitlab.Ptr("other"), Filter: production}))
	shown := must(api.ProjectVariables.GetVariable(project, "KEY", &gitlab.GetProjectVariableOptions{Filter: production}))
	listed := must(api.ProjectVariables.ListVariables(project, nil))
	done(api.ProjectVariables.RemoveVariable(project, "KEY", &gitlab.RemoveProjectVariableOptions{Filter: production}))
	instance := must(api.InstanceVariables.CreateVariable(&gitlab.CreateInstanceVariableOptions{Key: gitlab.Ptr("I"), Value: gitlab.Ptr("i")}))
	must(api.InstanceVariables.ListVariables(nil))
	done(api.InstanceVariables.RemoveVariable("I"))
	return []any{made.VariableType, made.Description, edited.Value, shown.EnvironmentScope, len(listed), instance.Value}
}

func pipelines() []any {
	said := []any{}
	say := func(words ...any) { said = append(said, words...) }
	created := must(api.Users.CreateUserRunner(&gitlab.CreateUserRunnerOptions{RunnerType: gitlab.Ptr("instance_type"), Description: gitlab.Ptr("worker")}))
	worker := runner{url, created.Token}

	pipeline := must(api.Pipelines.CreatePipeline(project, &gitlab.CreatePipelineOptions{
		Ref:       gitlab.Ptr("main"),
		Variables: &[]*gitlab.PipelineVariableOptions{{Key: gitlab.Ptr("A"), Value: gitlab.Ptr("b"), VariableType: gitlab.Ptr(gitlab.EnvVariableType)}},
	}))
	say(pipeline.Source, pipeline.DetailedStatus.Group, pipeline.User.Username)
	given := must(api.Pipelines.GetPipelineVariables(project, pipeline.ID))
	say(given[0].Key, given[0].Value)
	count := func(options gitlab.ListProjectPipelinesOptions) int {
		return len(must(api.Pipelines.ListProjectPipelines(project, &options)))
	}
	day := in(1)
	say(count(gitlab.ListProjectPipelinesOptions{Source: gitlab.Ptr("api"), Ref: gitlab.Ptr("main"), SHA: &pipeline.SHA, Username: gitlab.Ptr("root")}),
		count(gitlab.ListProjectPipelinesOptions{Status: gitlab.Ptr(gitlab.Success)}),
		count(gitlab.ListProjectPipelinesOptions{Scope: gitlab.Ptr("branches"), OrderBy: gitlab.Ptr("updated_at"), Sort: gitlab.Ptr("asc")}),
		count(gitlab.ListProjectPipelinesOptions{CreatedAfter: &day, YamlErrors: gitlab.Ptr(false)}))
	say(must(api.Pipelines.GetLatestPipeline(project, &gitlab.GetLatestPipelineOptions{Ref: gitlab.Ptr("main")})).ID == pipeline.ID)
	say(must(api.Pipelines.UpdatePipelineMetadata(project, pipeline.ID, &gitlab.UpdatePipelineMetadataOptions{Name: gitlab.Ptr("named")})).Name)

	one := func(scope gitlab.BuildStateValue) *gitlab.Job {
		return must(api.Jobs.ListPipelineJobs(project, pipeline.ID, &gitlab.ListJobsOptions{Scope: &[]gitlab.BuildStateValue{scope}}))[0]
	}
	worker.work("failed")
	build := one(gitlab.Failed)
	say(build.Name, build.FailureReason, build.Runner.Description, build.Commit.ID == pipeline.SHA, build.Coverage)
	say(read(must(api.Jobs.GetTraceFile(project, build.ID))))
	again := must(api.Jobs.RetryJob(project, build.ID))
	say(again.Status)
	worker.work("success")
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		report := must(api.Pipelines.GetPipelineTestReport(project, pipeline.ID))
		if report.TotalCount == 1 || time.Now().After(deadline) {
			suite := report.TestSuites[0]
			say(report.TotalCount, report.TotalTime, suite.Name, suite.TestCases[0].Name, suite.TestCases[0].Status)
			break
		}
	}
	say(must(api.Pipelines.GetPipelineTestReportSummary(project, pipeline.ID)).Total.Success)
	job := must(api.Jobs.GetJob(project, again.ID))
	say(job.Status, job.ArtifactsFile.Filename, len(job.Artifacts), job.User.Username)
	say(read(must(api.Jobs.DownloadSingleArtifactsFile(project, job.ID, "out/a.txt"))))
	say(read(must(api.Jobs.GetJobArtifacts(project, job.ID)))[:2])
	say(must(api.Jobs.KeepArtifacts(project, job.ID)).ID == job.ID)

	deploy := one(gitlab.Manual)
	say(must(api.Jobs.PlayJob(project, deploy.ID, &gitlab.PlayJobOptions{
		JobVariablesAttributes: &[]*gitlab.JobVariableOptions{{Key: gitlab.Ptr("P"), Value: gitlab.Ptr("q")}},
	})).Status)
	say(must(api.ResourceGroup.GetASpecificResourceGroup(project, "production")).ProcessMode)
	must(api.ResourceGroup.ListUpcomingJobsForASpecificResourceGroup(project, "production"))
	say(must(api.Jobs.CancelJob(project, deploy.ID)).Status)
	say(must(api.Pipelines.RetryPipelineBuild(project, pipeline.ID)).Status)
	must(api.Jobs.PlayJob(project, one(gitlab.Manual).ID, nil))
	worker.work("success")
	say(must(api.Pipelines.GetPipeline(project, pipeline.ID)).Status)
	say(read(must(api.Jobs.DownloadSingleArtifactsFileByTagOrBranch(project, "main", "out/a.txt", &gitlab.DownloadArtifactsFileOptions{Job: gitlab.Ptr("build")}))))
	say(read(must(api.Jobs.DownloadArtifactsFile(project, "main", &gitlab.DownloadArtifactsFileOptions{Job: gitlab.Ptr("build")})))[:2])
	say(len(must(api.Jobs.ListProjectJobs(project, &gitlab.ListJobsOptions{IncludeRetried: gitlab.Ptr(true)}))))
	say(len(must(api.Jobs.ListPipelineBridges(project, pipeline.ID, nil))))
	done(api.Jobs.DeleteArtifacts(project, job.ID))
	say(must(api.Jobs.EraseJob(project, build.ID)).ErasedAt != nil)

	other := must(api.Pipelines.CreatePipeline(project, &gitlab.CreatePipelineOptions{Ref: gitlab.Ptr("feature/x")}))
	say(must(api.Pipelines.CancelPipelineBuild(project, other.ID)).Status)
	done(api.Pipelines.DeletePipeline(project, other.ID))
	jobs := must(api.Runners.ListRunnerJobs(created.ID, &gitlab.ListRunnerJobsOptions{Status: gitlab.Ptr("success"), OrderBy: gitlab.Ptr("id"), Sort: gitlab.Ptr("asc")}))
	say(len(jobs), jobs[0].Name, jobs[0].Project.PathWithNamespace)
	return said
}

func runners() []any {
	id := must(api.Projects.GetProject(project, nil)).ID
	made := must(api.Users.CreateUserRunner(&gitlab.CreateUserRunnerOptions{
		RunnerType: gitlab.Ptr("project_type"), ProjectID: &id, TagList: &[]string{"a", "b"}, MaximumTimeout: gitlab.Ptr(int64(1200)), MaintenanceNote: gitlab.Ptr("note"),
	}))
	details := must(api.Runners.GetRunnerDetails(made.ID))
	edited := must(api.Runners.UpdateRunnerDetails(made.ID, &gitlab.UpdateRunnerDetailsOptions{Description: gitlab.Ptr("mine"), Paused: gitlab.Ptr(true), TagList: &[]string{"c"}}))
	all := must(api.Runners.ListAllRunners(&gitlab.ListRunnersOptions{Type: gitlab.Ptr("project_type"), TagList: &[]string{"c"}}))
	own := must(api.Runners.ListRunners(&gitlab.ListRunnersOptions{Paused: gitlab.Ptr(true)}))
	ofProject := must(api.Runners.ListProjectRunners(project, nil))
	ofGroup := must(api.Runners.ListGroupsRunners("acme", nil))
	reset := must(api.Runners.ResetRunnerAuthenticationToken(made.ID))
	done(api.Runners.VerifyRegisteredRunner(&gitlab.VerifyRegisteredRunnerOptions{Token: reset.Token}))
	registration := must(api.Runners.ResetProjectRunnerRegistrationToken(project))
	must(api.Runners.ResetGroupRunnerRegistrationToken("acme"))
	must(api.Runners.ResetInstanceRunnerRegistrationToken())
	done(api.Runners.RemoveRunner(made.ID))
	return []any{
		details.RunnerType, details.TagList, details.MaximumTimeout, details.MaintenanceNote, details.Projects[0].PathWithNamespace, details.Status,
		edited.Description, edited.Paused, edited.TagList, len(all), len(own), len(ofProject), len(ofGroup), *reset.Token != made.Token, *registration.Token != "",
	}
}

func schedules() []any {
	made := must(api.PipelineSchedules.CreatePipelineSchedule(project, &gitlab.CreatePipelineScheduleOptions{
		Description: gitlab.Ptr("nightly"), Ref: gitlab.Ptr("main"), Cron: gitlab.Ptr("0 1 * * *"), CronTimezone: gitlab.Ptr("UTC"), Active: gitlab.Ptr(true),
	}))
	variable := must(api.PipelineSchedules.CreatePipelineScheduleVariable(project, made.ID, &gitlab.CreatePipelineScheduleVariableOptions{Key: gitlab.Ptr("K"), Value: gitlab.Ptr("v")}))
	changed := must(api.PipelineSchedules.EditPipelineScheduleVariable(project, made.ID, "K", &gitlab.EditPipelineScheduleVariableOptions{Value: gitlab.Ptr("w")}))
	edited := must(api.PipelineSchedules.EditPipelineSchedule(project, made.ID, &gitlab.EditPipelineScheduleOptions{Cron: gitlab.Ptr("0 2 * * *")}))
	done(api.PipelineSchedules.RunPipelineSchedule(project, made.ID))
	var started []*gitlab.Pipeline
	for deadline := time.Now().Add(10 * time.Second); len(started) == 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		started = must(api.PipelineSchedules.ListPipelinesTriggeredBySchedule(project, made.ID, nil))
	}
	must(api.PipelineSchedules.TakeOwnershipOfPipelineSchedule(project, made.ID))
	shown := must(api.PipelineSchedules.GetPipelineSchedule(project, made.ID))
	listed := must(api.PipelineSchedules.ListPipelineSchedules(project, nil))
	removed := must(api.PipelineSchedules.DeletePipelineScheduleVariable(project, made.ID, "K"))
	done(api.PipelineSchedules.DeletePipelineSchedule(project, made.ID))
	return []any{
		made.NextRunAt != nil, variable.Value, changed.Value, edited.Cron, started[0].Source, shown.Owner.Username,
		shown.LastPipeline.ID == started[0].ID, shown.Variables[0].Key, len(listed), removed.Key,
	}
}

func triggers() []any {
	made := must(api.PipelineTriggers.AddPipelineTrigger(project, &gitlab.AddPipelineTriggerOptions{Description: gitlab.Ptr("from outside")}))
	pipeline := must(api.PipelineTriggers.RunPipelineTrigger(project, &gitlab.RunPipelineTriggerOptions{
		Ref: gitlab.Ptr("main"), Token: &made.Token, Variables: map[string]string{"T": "t"},
	}))
	given := must(api.Pipelines.GetPipelineVariables(project, pipeline.ID))
	edited := must(api.PipelineTriggers.EditPipelineTrigger(project, made.ID, &gitlab.EditPipelineTriggerOptions{Description: gitlab.Ptr("other")}))
	shown := must(api.PipelineTriggers.GetPipelineTrigger(project, made.ID))
	listed := must(api.PipelineTriggers.ListPipelineTriggers(project, nil))
	done(api.PipelineTriggers.DeletePipelineTrigger(project, made.ID))
	return []any{pipeline.Source, names(given, func(one *gitlab.PipelineVariable) string { return one.Key }), edited.Description, shown.Owner.Username, shown.LastUsed != nil, len(listed)}
}

func environments() []any {
	made := must(api.Environments.CreateEnvironment(project, &gitlab.CreateEnvironmentOptions{
		Name: gitlab.Ptr("review/a"), ExternalURL: gitlab.Ptr("https://a.example.com"), Tier: gitlab.Ptr("development"),
	}))
	edited := must(api.Environments.EditEnvironment(project, made.ID, &gitlab.EditEnvironmentOptions{ExternalURL: gitlab.Ptr("https://b.example.com")}))
	listed := must(api.Environments.ListEnvironments(project, &gitlab.ListEnvironmentsOptions{Search: gitlab.Ptr("review"), States: gitlab.Ptr("available")}))
	must(api.Environments.GetEnvironment(project, made.ID))
	stopped := must(api.Environments.StopEnvironment(project, made.ID, &gitlab.StopEnvironmentOptions{Force: gitlab.Ptr(true)}))
	done(api.Environments.DeleteEnvironment(project, made.ID))
	deployments := must(api.Deployments.ListProjectDeployments(project, &gitlab.ListProjectDeploymentsOptions{Environment: gitlab.Ptr("production"), OrderBy: gitlab.Ptr("id"), Sort: gitlab.Ptr("desc")}))
	deployment := must(api.Deployments.GetProjectDeployment(project, deployments[0].ID))
	production := must(api.Environments.ListEnvironments(project, &gitlab.ListEnvironmentsOptions{Name: gitlab.Ptr("production")}))
	shown := must(api.Environments.GetEnvironment(project, production[0].ID))
	protected := must(api.ProtectedEnvironments.ProtectRepositoryEnvironments(project, &gitlab.ProtectRepositoryEnvironmentsOptions{
		Name:               gitlab.Ptr("production"),
		DeployAccessLevels: &[]*gitlab.EnvironmentAccessOptions{{UserID: gitlab.Ptr(must(api.Users.CurrentUser()).ID)}},
	}))
	must(api.ProtectedEnvironments.ListProtectedEnvironments(project, nil))
	done(api.ProtectedEnvironments.UnprotectEnvironment(project, "production"))
	return []any{
		made.Slug != "", made.Tier, edited.ExternalURL, len(listed), stopped.State,
		len(deployments), deployment.Deployable.Name, deployment.Environment.Name, deployment.User.Username, deployment.Deployable.Pipeline.ID > 0, shown.Tier,
		protected.Name, protected.DeployAccessLevels[0].UserID > 0,
	}
}

func statuses() []any {
	sha := must(api.Branches.GetBranch(project, "main")).Commit.ID
	set := must(api.Commits.SetCommitStatus(project, sha, &gitlab.SetCommitStatusOptions{
		State: gitlab.Success, Name: gitlab.Ptr("outside"), Ref: gitlab.Ptr("main"), Coverage: gitlab.Ptr(71.5), TargetURL: gitlab.Ptr("https://example.com/1"), Description: gitlab.Ptr("went well"),
	}))
	listed := must(api.Commits.GetCommitStatuses(project, sha, &gitlab.GetCommitStatusesOptions{Name: gitlab.Ptr("outside"), All: gitlab.Ptr(true)}))
	return []any{set.Status, set.Coverage, set.Author.Username, set.TargetURL, set.PipelineID > 0, len(listed), listed[0].Description}
}

func releases() []any {
	made := must(api.Releases.CreateRelease(project, &gitlab.CreateReleaseOptions{
		Name: gitlab.Ptr("One"), TagName: gitlab.Ptr("v1"), Description: gitlab.Ptr("text"),
		Assets: &gitlab.ReleaseAssetsOptions{Links: []*gitlab.ReleaseAssetLinkOptions{{
			Name: gitlab.Ptr("tool"), URL: gitlab.Ptr("https://example.com/tool"), DirectAssetPath: gitlab.Ptr("/bin/tool"), LinkType: gitlab.Ptr(gitlab.PackageLinkType),
		}}},
	}))
	link := must(api.ReleaseLinks.CreateReleaseLink(project, "v1", &gitlab.CreateReleaseLinkOptions{Name: gitlab.Ptr("book"), URL: gitlab.Ptr("https://example.com/book")}))
	edited := must(api.ReleaseLinks.UpdateReleaseLink(project, "v1", link.ID, &gitlab.UpdateReleaseLinkOptions{Name: gitlab.Ptr("handbook"), LinkType: gitlab.Ptr(gitlab.RunbookLinkType)}))
	must(api.ReleaseLinks.GetReleaseLink(project, "v1", link.ID))
	links := must(api.ReleaseLinks.ListReleaseLinks(project, "v1", nil))
	changed := must(api.Releases.UpdateRelease(project, "v1", &gitlab.UpdateReleaseOptions{Name: gitlab.Ptr("First")}))
	shown := must(api.Releases.GetRelease(project, "v1"))
	latest := must(api.Releases.GetLatestRelease(project))
	listed := must(api.Releases.ListReleases(project, nil))
	must(api.ReleaseLinks.DeleteReleaseLink(project, "v1", link.ID))
	gone := must(api.Releases.DeleteRelease(project, "v1"))
	return []any{
		made.Author.Username, made.Commit.ID != "", made.Assets.Links[0].LinkType, made.Assets.Links[0].DirectAssetURL != "", edited.LinkType,
		len(links), changed.Name, len(shown.Assets.Links), latest.TagName, len(listed), gone.TagName,
	}
}

func hooks() []any {
	made := must(api.Projects.AddProjectHook(project, &gitlab.AddProjectHookOptions{
		URL: gitlab.Ptr("https://example.com/hook"), PipelineEvents: gitlab.Ptr(true), JobEvents: gitlab.Ptr(true), EnableSSLVerification: gitlab.Ptr(true), Token: gitlab.Ptr("secret"),
	}))
	edited := must(api.Projects.EditProjectHook(project, made.ID, &gitlab.EditProjectHookOptions{URL: gitlab.Ptr("https://example.com/other"), JobEvents: gitlab.Ptr(false)}))
	shown := must(api.Projects.GetProjectHook(project, made.ID))
	listed := must(api.Projects.ListProjectHooks(project, nil))
	done(api.Projects.DeleteProjectHook(project, made.ID))
	return []any{made.PipelineEvents, made.JobEvents, edited.URL, shown.JobEvents, shown.EnableSSLVerification, len(listed)}
}

func mergeRequests() []any {
	made := must(api.MergeRequests.CreateMergeRequest(project, &gitlab.CreateMergeRequestOptions{
		Title: gitlab.Ptr("Change"), SourceBranch: gitlab.Ptr("feature/y"), TargetBranch: gitlab.Ptr("main"),
	}))
	shown := must(api.MergeRequests.GetMergeRequest(project, made.IID, nil))
	listed := must(api.MergeRequests.ListProjectMergeRequests(project, &gitlab.ListProjectMergeRequestsOptions{State: gitlab.Ptr("opened")}))
	pipelines := must(api.MergeRequests.ListMergeRequestPipelines(project, made.IID))
	closed := must(api.MergeRequests.UpdateMergeRequest(project, made.IID, &gitlab.UpdateMergeRequestOptions{StateEvent: gitlab.Ptr("close")}))
	return []any{made.Title, shown.SourceBranch, shown.Author.Username, len(listed), len(pipelines), closed.State}
}

func groups() []any {
	made := must(api.Groups.CreateGroup(&gitlab.CreateGroupOptions{Name: gitlab.Ptr("Tools"), Path: gitlab.Ptr("tools")}))
	sub := must(api.Groups.CreateGroup(&gitlab.CreateGroupOptions{Name: gitlab.Ptr("Sub"), Path: gitlab.Ptr("sub"), ParentID: &made.ID}))
	edited := must(api.Groups.UpdateGroup(made.ID, &gitlab.UpdateGroupOptions{Name: gitlab.Ptr("Kit")}))
	subs := must(api.Groups.ListSubGroups(made.ID, nil))
	below := must(api.Groups.ListDescendantGroups(made.ID, nil))
	projects := must(api.Groups.ListGroupProjects("acme", nil))
	found := must(api.Groups.ListGroups(&gitlab.ListGroupsOptions{Search: gitlab.Ptr("tools")}))
	variable := must(api.GroupVariables.CreateVariable(made.ID, &gitlab.CreateGroupVariableOptions{Key: gitlab.Ptr("G"), Value: gitlab.Ptr("g")}))
	must(api.GroupVariables.UpdateVariable(made.ID, "G", &gitlab.UpdateGroupVariableOptions{Value: gitlab.Ptr("h")}))
	must(api.GroupVariables.ListVariables(made.ID, nil))
	done(api.GroupVariables.RemoveVariable(made.ID, "G", nil))
	namespace := must(api.Namespaces.GetNamespace("tools/sub"))
	namespaces := must(api.Namespaces.ListNamespaces(&gitlab.ListNamespacesOptions{Search: gitlab.Ptr("tools")}))
	done(api.Groups.DeleteGroup(made.ID, nil))
	return []any{sub.FullPath, sub.ParentID == made.ID, edited.Name, len(subs), len(below), projects[0].PathWithNamespace, len(found), variable.Value, namespace.Kind, len(namespaces) > 0}
}

func users() []any {
	made := must(api.Users.CreateUser(&gitlab.CreateUserOptions{
		Username: gitlab.Ptr("ann"), Name: gitlab.Ptr("Ann"), Email: gitlab.Ptr("ann@example.com"), ForceRandomPassword: gitlab.Ptr(true),
	}))
	token := must(api.Users.CreatePersonalAccessToken(made.ID, &gitlab.CreatePersonalAccessTokenOptions{Name: gitlab.Ptr("hers"), Scopes: &[]string{"read_api"}}))
	check(api.Users.BlockUser(made.ID))
	blocked := must(api.Users.GetUser(made.ID, gitlab.GetUsersOptions{}))
	check(api.Users.UnblockUser(made.ID))
	listed := must(api.Users.ListUsers(&gitlab.ListUsersOptions{Username: gitlab.Ptr("ann")}))
	return []any{must(api.Users.CurrentUser()).Username, made.Email, token.Scopes, token.Token != "", blocked.State, len(listed), listed[0].State}
}

func tokens() []any {
	expiry := gitlab.ISOTime(in(30))
	made := must(api.ProjectAccessTokens.CreateProjectAccessToken(project, &gitlab.CreateProjectAccessTokenOptions{
		Name: gitlab.Ptr("bot"), Scopes: &[]string{"api"}, AccessLevel: gitlab.Ptr(gitlab.DeveloperPermissions), ExpiresAt: &expiry,
	}))
	shown := must(api.ProjectAccessTokens.GetProjectAccessToken(project, made.ID))
	rotated := must(api.ProjectAccessTokens.RotateProjectAccessToken(project, made.ID, &gitlab.RotateProjectAccessTokenOptions{ExpiresAt: &expiry}))
	listed := must(api.ProjectAccessTokens.ListProjectAccessTokens(project, &gitlab.ListProjectAccessTokensOptions{State: gitlab.Ptr("active")}))
	done(api.ProjectAccessTokens.RevokeProjectAccessToken(project, rotated.ID))
	own := must(api.PersonalAccessTokens.GetSinglePersonalAccessToken())
	all := must(api.PersonalAccessTokens.ListPersonalAccessTokens(nil))
	return []any{shown.Name, shown.Scopes, shown.AccessLevel, shown.ExpiresAt.String() == expiry.String(), rotated.Token != made.Token, len(listed), own.Active, len(all) > 0}
}

func scope() []any {
	settings := must(api.JobTokenScope.GetProjectJobTokenAccessSettings(project))
	done(api.JobTokenScope.PatchProjectJobTokenAccessSettings(project, &gitlab.PatchProjectJobTokenAccessSettingsOptions{Enabled: true}))
	group := must(api.Groups.GetGroup("acme", nil))
	made := must(api.JobTokenScope.AddGroupToJobTokenAllowlist(project, &gitlab.AddGroupToJobTokenAllowlistOptions{TargetGroupID: &group.ID}))
	listed := must(api.JobTokenScope.GetJobTokenAllowlistGroups(project, nil))
	own := must(api.JobTokenScope.GetProjectJobTokenInboundAllowList(project, nil))
	done(api.JobTokenScope.RemoveGroupFromJobTokenAllowlist(project, group.ID))
	return []any{settings.InboundEnabled, made.TargetGroupID == group.ID, len(listed), len(own)}
}

func missing() []any {
	_, response, err := api.Jobs.GetJob(project, 99999)
	return []any{response.StatusCode == http.StatusNotFound, err != nil}
}
