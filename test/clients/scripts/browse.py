import os

import gitlab

api = gitlab.Gitlab(os.environ["URL"], private_token=os.environ["TOKEN"])
project = api.projects.get(os.environ["PROJECT"])
print("branches", *(one.name for one in project.branches.list()))
print("tree", *(one["path"] for one in project.repository_tree(path="src")))
print("file", project.files.get(file_path="src/a b.txt", ref="main").decode().decode())
hook = project.hooks.create({"url": "https://example.com/hook", "pipeline_events": True})
print("hooks", *(f"{one.url} {one.pipeline_events}".lower() for one in project.hooks.list()))
hook.delete()
print("groups", *(one.full_path for one in api.groups.list()))
print("users", *(one.username for one in api.users.list()))
