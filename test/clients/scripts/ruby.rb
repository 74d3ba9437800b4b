require 'gitlab'
require 'net/http'

$stdout.sync = true

def work(state)
  puts "work #{state}"
  $stdin.gets
end

api = Gitlab.client(endpoint: "#{ENV.fetch('URL')}/api/v4", private_token: ENV.fetch('TOKEN'))
id = api.project(ENV.fetch('PROJECT')).id
puts "project #{id}"
pipeline = api.create_pipeline(id, 'main', { A: 'b', C: 'd' })
given = api.get("/projects/#{id}/pipelines/#{pipeline.id}/variables").map { |one| "#{one.key}=#{one.value}" }
puts "variables #{given.join(' ')}"
work 'failed'
build = api.pipeline_jobs(id, pipeline.id, scope: ['failed']).first
puts "#{build.name} #{build.status}"
puts api.job_trace(id, build.id)
again = api.job_retry(id, build.id)
puts "retried #{again.status}"
work 'success'
puts api.download_job_artifact_file(id, again.id, 'out/a.txt').to_h.fetch(:data).read
tests = api.get("/projects/#{id}/pipelines/#{pipeline.id}/test_report").test_suites.first
puts "tests #{tests['total_count']} #{tests['name']} #{tests['test_cases'].first['name']}"
deploy = api.pipeline_jobs(id, pipeline.id, scope: ['manual']).first
puts "played #{api.job_play(id, deploy.id).status}"
puts "canceled #{api.job_cancel(id, deploy.id).status}"
begin
  api.job(id, 99_999)
rescue Gitlab::Error::NotFound => e
  puts "missing #{e.response_status}"
end
