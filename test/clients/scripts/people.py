import os

import gitlab

api = gitlab.Gitlab(os.environ["URL"], private_token=os.environ["TOKEN"])
project = api.projects.get(os.environ["PROJECT"])
ada = api.users.create({"username": "ada", "name": "Ada", "email": "ada@example.com", "password": "correct horse battery"})
print("users", *(one.username for one in api.users.list(username="ada")), api.users.get(ada.id).state)
ada.block()
print("blocked", api.users.get(ada.id).state)
ada.unblock()

member = project.members.create({"user_id": ada.id, "access_level": gitlab.const.AccessLevel.DEVELOPER})
member.access_level = gitlab.const.AccessLevel.MAINTAINER
member.save()
print("members", project.members.get(ada.id).access_level, *(f"{one.username} {one.access_level}" for one in project.members_all.list()))
project.members.delete(ada.id)
group = api.groups.create({"name": "crew", "path": "crew"})
group.members.create({"user_id": ada.id, "access_level": 20, "expires_at": "2099-01-31"})
print("group", *(f"{one.username} {one.access_level} {one.expires_at}" for one in group.members.list()))
project.share(group.id, 20)
print("shared", *(f"{one.username} {one.access_level}" for one in project.members_all.list()))
project.unshare(group.id)

branch = project.protectedbranches.create({"name": "release-*", "push_access_level": 30, "merge_access_level": 30})
print("branches", *(one.name for one in project.protectedbranches.list()), branch.push_access_levels[0]["access_level"])
branch.delete()
tag = project.protectedtags.create({"name": "v*", "create_access_level": 40})
print("tags", *(one.name for one in project.protectedtags.list()), tag.create_access_levels[0]["access_level"])
tag.delete()

token = group.access_tokens.create({"name": "bot", "scopes": ["api"], "access_level": 30, "expires_at": "2099-01-31"})
bot = gitlab.Gitlab(os.environ["URL"], private_token=token.token)
bot.auth()
print("tokens", token.access_level, bot.user.username.startswith("group_"), *(one.name for one in group.access_tokens.list()))
token.delete()
own = project.access_tokens.create({"name": "own", "scopes": ["read_api"], "access_level": 20})
print("project token", own.access_level, len(project.access_tokens.list()))
own.delete()

old = project.path_with_namespace
project.path = "renamed"
project.save()
print("renamed", api.projects.get(old).path)
project.transfer(group.id)
print("moved", api.projects.get(project.id).path_with_namespace, api.projects.get(old).id == project.id)
parent = api.groups.create({"name": "fleet", "path": "fleet"})
group.transfer(parent.id)
print("group moved", api.groups.get(group.id).full_path, api.projects.get(project.id).path_with_namespace)
