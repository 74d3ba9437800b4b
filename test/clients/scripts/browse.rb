require 'base64'
require 'gitlab'

api = Gitlab.client(endpoint: "#{ENV.fetch('URL')}/api/v4", private_token: ENV.fetch('TOKEN'))
id = api.project(ENV.fetch('PROJECT')).id
puts "branches #{api.branches(id).map(&:name).join(' ')}"
puts "tree #{api.tree(id, path: 'src').map(&:path).join(' ')}"
puts "file #{Base64.decode64(api.get_file(id, 'src/a b.txt', 'main').content)}"
hook = api.add_project_hook(id, 'https://example.com/hook', pipeline_events: true)
puts "hooks #{api.project_hooks(id).map { |one| "#{one.url} #{one.pipeline_events}" }.join(' ')}"
api.delete_project_hook(id, hook.id)
puts "groups #{api.groups.map(&:full_path).join(' ')}"
puts "users #{api.users.map(&:username).join(' ')}"
