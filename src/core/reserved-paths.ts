/**
 * Paths that no group, user or project can have, since the addresses of other things begin with them.
 * The lists are GitLab's: https://docs.gitlab.com/user/reserved_names/, gitlab lib/gitlab/path_regex.rb
 */

/** At the top, in lower case; `runner` is ours: streams begin there, so no repository could be fetched. */
const topLevel = new Set([
  ...['-', '.well-known', '404.html', '422.html', '500.html', '502.html', '503.html', 'admin', 'api'],
  ...['apple-touch-icon-precomposed.png', 'apple-touch-icon.png', 'assets', 'dashboard', 'deploy.html', 'explore'],
  ...['favicon.ico', 'favicon.png', 'files', 'groups', 'health_check', 'help', 'import', 'jwt', 'login', 'metrics'],
  ...['oauth', 'profile', 'projects', 'public', 'robots.txt', 'runner', 's', 'search', 'sitemap', 'sitemap.xml'],
  ...['sitemap.xml.gz', 'slash-command-logo.png', 'snippets', 'unsubscribes', 'uploads', 'users', 'v2'],
])

/** Below a group: what follows the path of a project in other addresses. */
const belowGroups = new Set([
  ...['-', 'badges', 'blame', 'blob', 'builds', 'commits', 'create', 'create_dir', 'edit', 'files', 'find_file'],
  ...['new', 'preview', 'raw', 'refs', 'tree', 'update', 'wikis'],
])

/** The part of a whole path (`group/subgroup/name`) that is a reserved name where it stands, whatever its case. */
export function reservedPart(fullPath: string): string | undefined {
  return fullPath.split('/').find((part, i) => (i === 0 ? topLevel : belowGroups).has(part.toLowerCase()))
}
