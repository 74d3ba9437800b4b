import os
import sys

import gitlab


def say(*words):
    print(*words, flush=True)


def work(state):
    say("work", state)
    sys.stdin.readline()


api = gitlab.Gitlab(os.environ["URL"], private_token=os.environ["TOKEN"])
project = api.projects.get(os.environ["PROJECT"])
say("project", project.id)
given = [{"key": "A", "value": "b"}, {"key": "C", "value": "d"}]
pipeline = project.pipelines.create({"ref": "main", "variables": given})
say("variables", *(f"{one.key}={one.value}" for one in pipeline.variables.list()))
work("failed")
[job] = pipeline.jobs.list(scope="failed")
build = project.jobs.get(job.id)
say(build.name, build.status)
say(build.trace().decode())
build.retry()
[job] = pipeline.jobs.list(scope="pending")
say("retried", job.status)
work("success")
say(project.jobs.get(job.id).artifact("out/a.txt").decode())
suite = pipeline.test_report.get().test_suites[0]
say("tests", pipeline.test_report_summary.get().total["count"], suite["name"], suite["test_cases"][0]["name"])
[manual] = pipeline.jobs.list(scope="manual")
deploy = project.jobs.get(manual.id)
deploy.play()
say("played", project.jobs.get(deploy.id).status)
deploy.cancel()
say("canceled", project.jobs.get(deploy.id).status)
try:
    project.jobs.get(99999)
except gitlab.GitlabGetError as error:
    say("missing", error.response_code)
