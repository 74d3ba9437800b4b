use strict;
use warnings;
use GitLab::API::v4;

$| = 1;

sub work {
    my ($state) = @_;
    print "work $state\n";
    <STDIN>;
}

my $api = GitLab::API::v4->new(url => "$ENV{URL}/api/v4", private_token => $ENV{TOKEN});
# The methods of 0.26 for logs and files take every answer for JSON.
sub raw {
    my ($path, @parts) = @_;
    return $api->_call_rest_client('GET', $path, \@parts, { decode => 0 });
}

my $id = $api->project($ENV{PROJECT})->{id};
print "project $id\n";
my $given = [{ key => 'A', value => 'b' }, { key => 'C', value => 'd' }];
my $pipeline = $api->create_pipeline($id, { ref => 'main', variables => $given });
my $variables = $api->_call_rest_client('GET', 'projects/:id/pipelines/:pid/variables', [$id, $pipeline->{id}], {});
print 'variables ', join(' ', map { "$_->{key}=$_->{value}" } @$variables), "\n";
work('failed');
my ($build) = @{ $api->pipeline_jobs($id, $pipeline->{id}, { scope => 'failed' }) };
print "$build->{name} $build->{status}\n";
print raw('projects/:project_id/jobs/:job_id/trace', $id, $build->{id}), "\n";
my $again = $api->retry_job($id, $build->{id});
print "retried $again->{status}\n";
work('success');
print raw('projects/:project_id/jobs/:job_id/artifacts/:path', $id, $again->{id}, 'out/a.txt'), "\n";
my $report = $api->_call_rest_client('GET', 'projects/:id/pipelines/:pid/test_report', [$id, $pipeline->{id}], {});
my $suite = $report->{test_suites}[0];
print "tests $suite->{total_count} $suite->{name} $suite->{test_cases}[0]{name}\n";
my ($deploy) = @{ $api->pipeline_jobs($id, $pipeline->{id}, { scope => 'manual' }) };
print 'played ', $api->play_job($id, $deploy->{id})->{status}, "\n";
print 'canceled ', $api->cancel_job($id, $deploy->{id})->{status}, "\n";
print 'missing ', defined $api->job($id, 99999) ? 'found' : 404, "\n";
