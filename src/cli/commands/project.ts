/** `signalbox project create|list|show|delete|clear-caches|hook-secret`. */
import { openContext } from '../context.js'
import { table } from '../terminal.js'

interface Project {
  id: number
  path_with_namespace: string
  default_branch: string
  http_url_to_repo: string
  web_url: string
}

/** Makes a project, with `mirror` as the copy of a repository elsewhere. */
export async function createProject(path: string, options: { json?: boolean; mirror?: string }): Promise<void> {
  const { client, terminal, json } = openContext()
  const { mirror } = options
  const project = await client().post<Project>('/api/signalbox/v1/projects', {
    path,
    ...(mirror === undefined ? {} : { mirror }),
  })
  if (options.json) return json(project)
  const next = mirror === undefined ? 'push to it' : 'it mirrors the repository, and jobs clone from here'
  terminal.say(`project ${project.id} ${project.path_with_namespace} created; ${next}:`)
  terminal.out(project.http_url_to_repo)
}

/** Prints the projects that the user may read, a thousand at the most. */
export async function listProjects(options: { json?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  const projects = await client().list<Project>('/api/v4/projects', 1000)
  if (options.json) return json(projects)
  table(
    terminal,
    ['ID', 'PATH', 'REPOSITORY'],
    projects.map((project) => [String(project.id), project.path_with_namespace, project.http_url_to_repo]),
  )
}

/** Prints one project. */
export async function showProject(path: string, options: { json?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  const project = await client().get<Project>(`/api/v4/projects/${encodeURIComponent(path)}`)
  if (options.json) return json(project)
  for (const [key, value] of Object.entries(project)) {
    terminal.out(`${key}: ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`)
  }
}

/** Lets all jobs of a project begin with empty caches. */
export async function clearCaches(path: string, options: { json?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  const cleared = await client().post<{ project_id: number; deleted: number }>(
    `/api/signalbox/v1/projects/${encodeURIComponent(path)}/clear-caches`,
  )
  if (options.json) return json(cleared)
  terminal.say(`caches of project ${cleared.project_id} cleared; ${cleared.deleted} were kept here`)
}

/** The project is gone when this returns; its files go right after. */
export async function deleteProject(path: string): Promise<void> {
  const { client, terminal } = openContext()
  await client().delete(`/api/v4/projects/${encodeURIComponent(path)}`)
  terminal.say(`project ${path} deleted`)
}

/** Prints a new secret for deliveries from outside, or removes it. */
export async function hookSecret(path: string, options: { json?: boolean; remove?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  const address = `/api/signalbox/v1/projects/${encodeURIComponent(path)}/hook-secret`
  if (options.remove) {
    await client().delete(address)
    return terminal.say(`project ${path} takes no webhooks any more`)
  }
  const made = await client().post<{ secret: string; urls: Record<string, string> }>(address)
  if (options.json) return json(made)
  terminal.say('the secret of webhooks, shown this once; the one before is dead:')
  terminal.out(made.secret)
  for (const [forge, url] of Object.entries(made.urls)) terminal.say(`${forge}: ${url}`)
}
