/**
 * The world as a configuration at one commit sees it: files, lists and changes of its own project and of those that the
 * pipeline's user may read. Notes what of it can move, so that a compiled configuration can be kept as long as none has.
 */
import isVersion from 'semver/functions/valid.js'
import type { CompileOptions, IncludeAnswer, IncludeRequest } from '../ci-config/compilation.js'
import type { Project, Repositories, ResolvedRef } from '../project.js'
import type { User } from '../store/users.js'
import type { Component } from './component.js'
import { parseComponent, pickVersion } from './component.js'
import { type RemoteFiles, switchedOff } from './remote-files.js'

/** What a configuration may look at besides its own text. */
export interface ConfigWorld {
  repositories: Repositories
  /** A project by path, if this user may read it. */
  findProject: (path: string, user: User | null) => Promise<Project | undefined>
  /** Files from the web; undefined: there are none. */
  remote: RemoteFiles | undefined
  /** What stands in for other projects and the web where there is no server: undefined on a server. */
  elsewhere?: Required<Pick<CompileOptions, 'fetchInclude' | 'listFiles'>> | undefined
  /** The base of the server's URLs: components are named by its host. */
  externalUrl: () => string
}

/** Where a configuration stands, and for whom it is read. */
export interface ConfigPlace {
  project: Project
  /** Absent: the project has no commit yet. */
  sha: string | undefined
  /** Whose rights count in other projects; null: those of nobody. */
  user: User | null
  /** What the event changed; undefined when unknown. */
  changedPaths: (() => Promise<string[] | undefined>) | undefined
  /** Files that jobs of the pipeline upstream have made; undefined: there is none. */
  artifactFile?: ((job: string, path: string) => Promise<IncludeAnswer>) | undefined
}

/** An answer that may be another one tomorrow: what a ref of a project pointed to. */
interface Moving {
  path: string
  ref: string | undefined
  seen: string
}

/** The answers that one compilation got. */
export class ConfigFiles
  implements Pick<CompileOptions, 'fetchInclude' | 'listFiles' | 'changedPaths' | 'changedSince'>
{
  readonly #world: ConfigWorld
  readonly #place: ConfigPlace
  readonly #moving = new Map<string, Moving>()
  #changes: string | undefined
  #isLasting = true
  #characters = 0

  constructor(world: ConfigWorld, place: ConfigPlace) {
    this.#world = world
    this.#place = place
  }

  /** Whether asking again tells if an answer has changed: not so for files of the web. */
  get isLasting(): boolean {
    return this.#isLasting
  }

  /** Characters of all files that were read. */
  get characters(): number {
    return this.#characters
  }

  /** Whether all would be answered alike now, and at this place. */
  async wouldRepeat(place: ConfigPlace): Promise<boolean> {
    for (const { path, ref, seen } of this.#moving.values()) {
      if (fingerprint(await this.#find(path, ref, place)) !== seen) return false
    }
    return this.#changes === undefined || textOf(await place.changedPaths?.()) === this.#changes
  }

  readonly fetchInclude = async (request: IncludeRequest): Promise<IncludeAnswer> => {
    const answer = await this.#fetch(request)
    if (answer.ok) this.#characters += answer.content.length
    return answer
  }

  readonly listFiles = async (path?: string, ref?: string): Promise<string[]> => {
    if (path === undefined && ref === undefined) {
      const { project, sha } = this.#place
      return sha === undefined ? [] : this.#world.repositories.listFiles(project, sha)
    }
    const { elsewhere } = this.#world
    if (elsewhere !== undefined && this.#isForeign(path)) {
      this.#isLasting = false
      return elsewhere.listFiles(path, ref)
    }
    const found = await this.#look(path, ref)
    if (found?.resolved === undefined) throw new Error('there is no such project or ref')
    return this.#world.repositories.listFiles(found.project, found.resolved.sha)
  }

  readonly changedPaths = async (): Promise<string[] | undefined> => {
    const paths = await this.#place.changedPaths?.()
    this.#changes = textOf(paths)
    return paths
  }

  readonly changedSince = async (ref: string): Promise<string[] | undefined> => {
    const { project, sha } = this.#place
    const found = await this.#look(undefined, ref)
    if (found === undefined || sha === undefined) return undefined
    const { repositories } = this.#world
    const other = found.resolved?.sha ?? (await repositories.browser.findCommit(found.project, ref))
    return other === undefined ? undefined : repositories.changedSince(project, other, sha)
  }

  #isForeign(project: string | undefined): boolean {
    return project !== undefined && project.toLowerCase() !== this.#place.project.fullPath.toLowerCase()
  }

  async #fetch(request: IncludeRequest): Promise<IncludeAnswer> {
    const { elsewhere } = this.#world
    if (elsewhere !== undefined && request.kind !== 'artifact') {
      const isOwn = request.kind === 'local' || request.kind === 'project' ? !this.#isForeign(request.project) : false
      if (!isOwn) {
        this.#isLasting = false
        return elsewhere.fetchInclude(request)
      }
    }
    switch (request.kind) {
      case 'local':
        return this.#local(request)
      case 'project':
        return this.#file(request.project, request.ref, [request.path])
      case 'component':
        return this.#component(request.component)
      case 'artifact':
        this.#isLasting = false
        return this.#place.artifactFile?.(request.job, request.path) ?? { ok: false, reason: 'file missing' }
      case 'template':
      case 'remote':
        this.#isLasting = false
        if (this.#world.remote === undefined) return { ok: false, reason: switchedOff[request.kind] }
        return request.kind === 'remote'
          ? this.#world.remote.fetch(request.url)
          : this.#world.remote.fetchTemplate(request.name)
    }
  }

  async #local({ path, project, ref }: Extract<IncludeRequest, { kind: 'local' }>): Promise<IncludeAnswer> {
    if (project !== undefined) return this.#file(project, ref, [path])
    const { project: own, sha } = this.#place
    return sha === undefined ? { ok: false, reason: 'file missing' } : this.#read(own, ref ?? sha, [path])
  }

  async #file(path: string, ref: string | undefined, files: readonly string[]): Promise<IncludeAnswer> {
    const found = await this.#look(path, ref)
    if (!found) return { ok: false, reason: 'project missing or access denied' }
    if (!found.resolved) return { ok: false, reason: 'ref missing' }
    return this.#read(found.project, found.resolved.sha, files)
  }

  async #component(written: string): Promise<IncludeAnswer> {
    const component = parseComponent(written, new URL(this.#world.externalUrl()).host)
    if (typeof component === 'string') return { ok: false, reason: component }
    const project = await this.#world.findProject(component.project, this.#place.user)
    if (!project) {
      await this.#look(component.project, undefined)
      return { ok: false, reason: 'project missing or access denied' }
    }
    const ref = await this.#versionOf(project, component)
    const { name, version } = component
    const answer = await this.#file(component.project, ref, [`templates/${name}.yml`, `templates/${name}/template.yml`])
    if (!answer.ok) return answer
    const released = isVersion(ref) ? { version: ref } : {}
    return {
      ...answer,
      component: { name, reference: version, ...released, ...(answer.ref ? { sha: answer.ref } : {}) },
    }
  }

  /** `~latest`, `1` and `1.2` stand for the highest of the versions that the project has tagged. */
  async #versionOf(project: Project, { version }: Component): Promise<string> {
    if (version !== '~latest' && !/^\d+(\.\d+)?$/.test(version)) return version
    // A new tag is a new answer, and nothing tells of it.
    this.#isLasting = false
    return pickVersion(await this.#world.repositories.listTags(project), version) ?? version
  }

  async #look(path: string | undefined, ref: string | undefined) {
    const asked = path ?? this.#place.project.fullPath
    const found = await this.#find(asked, ref, this.#place)
    this.#moving.set(`${asked}\0${ref ?? ''}`, { path: asked, ref, seen: fingerprint(found) })
    return found
  }

  async #find(path: string, ref: string | undefined, { project: own, user }: ConfigPlace): Promise<Found | undefined> {
    const project = path === own.fullPath ? own : await this.#world.findProject(path, user)
    if (!project) return undefined
    return { project, resolved: await this.#world.repositories.resolve(project, ref ?? project.defaultBranch) }
  }

  async #read(project: Project, sha: string, files: readonly string[]): Promise<IncludeAnswer> {
    for (const file of files) {
      const content = await this.#world.repositories.readFile(project, sha, file.replace(/^\/+/, ''))
      if (content !== undefined) return { ok: true, content, project: project.fullPath, ref: sha }
    }
    return { ok: false, reason: 'file missing' }
  }
}

interface Found {
  project: Project
  resolved: ResolvedRef | undefined
}

function fingerprint(found: Found | undefined): string {
  return found === undefined ? '' : `${found.project.id} ${found.resolved?.sha ?? ''}`
}

function textOf(paths: readonly string[] | undefined): string {
  return paths === undefined ? 'unknown' : paths.join('\0')
}
