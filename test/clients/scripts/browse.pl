use strict;
use warnings;
use GitLab::API::v4;
use MIME::Base64;

my $api = GitLab::API::v4->new(url => "$ENV{URL}/api/v4", private_token => $ENV{TOKEN});
my $id = $api->project($ENV{PROJECT})->{id};
print 'branches ', join(' ', map { $_->{name} } @{ $api->branches($id) }), "\n";
print 'tree ', join(' ', map { $_->{path} } @{ $api->tree($id, { path => 'src' }) }), "\n";
print 'file ', decode_base64($api->file($id, 'src/a b.txt', { ref => 'main' })->{content}), "\n";
my $hook = $api->create_project_hook($id, { url => 'https://example.com/hook', pipeline_events => 'true' });
my @hooks = map { "$_->{url} " . ($_->{pipeline_events} ? 'true' : 'false') } @{ $api->project_hooks($id) };
print 'hooks ', join(' ', @hooks), "\n";
$api->delete_project_hook($id, $hook->{id});
print 'groups ', join(' ', map { $_->{full_path} } @{ $api->groups() }), "\n";
print 'users ', join(' ', map { $_->{username} } @{ $api->users() }), "\n";
